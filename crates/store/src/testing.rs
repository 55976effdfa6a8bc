//! Fresh databases for tests, of every engine; it deliberately knows nothing of what the tests do with them.

use crate::engine::admin::Admin;
use crate::engine::{Database, Result, Settings, Store};
use crate::migrate::{MIGRATIONS, Migration};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// Ends a test's database when dropped: keep it as long as the store.
pub struct Guard {
    settings: Settings,
    kind: Kind,
}

enum Kind {
    Folder(PathBuf),
    Server { url: String, name: String },
}

impl Guard {
    /// How to open the same database once more.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        match &self.kind {
            // What cannot be removed is left to whoever clears the temporary folder.
            Kind::Folder(path) => drop(std::fs::remove_dir_all(path)),
            Kind::Server { url, name } => drop_database(url.clone(), name.clone()),
        }
    }
}

/// One fresh, migrated database of each engine: its kind, the store, and what keeps it alive. SQLite in a folder of its
/// own, PostgreSQL as a database of its own on the server that `REEVE_TEST_POSTGRES` names.
///
/// # Panics
/// When a database cannot be made; when no server is named, unless `REEVE_TEST_SQLITE_ONLY` is `1`.
pub async fn databases() -> Vec<(&'static str, Store, Guard)> {
    databases_with(MIGRATIONS).await
}

/// As [`databases`], with migrations of one's own.
///
/// # Panics
/// As [`databases`].
pub async fn databases_with(migrations: &[Migration]) -> Vec<(&'static str, Store, Guard)> {
    let mut guards = vec![folder()];
    match (
        variable("REEVE_TEST_POSTGRES"),
        variable("REEVE_TEST_SQLITE_ONLY").as_deref(),
    ) {
        (Some(url), _) => guards.push(server(url, migrations).await.expect("a fresh PostgreSQL database")),
        (None, Some("1")) => {}
        (None, _) => panic!(
            "REEVE_TEST_POSTGRES names no PostgreSQL server: run `cargo xtask test`, or set REEVE_TEST_SQLITE_ONLY=1"
        ),
    }
    let mut all = Vec::new();
    for guard in guards {
        let store = Store::open_with(&guard.settings, migrations)
            .await
            .expect("a fresh database opens");
        all.push((store.kind(), store, guard));
    }
    all
}

fn folder() -> Guard {
    let path = std::env::temp_dir().join(unique());
    let database = Database::Sqlite {
        path: path.join("reeve.db"),
    };
    Guard {
        settings: Settings { database, readers: 4 },
        kind: Kind::Folder(path),
    }
}

/// A copy of a template, which the first test with these migrations makes: copying costs less than migrating.
async fn server(url: String, migrations: &[Migration]) -> Result<Guard> {
    let template = template_name(migrations);
    let mut admin = Admin::connect(&url).await?;
    admin.lock().await?;
    if !admin.has(&template).await? {
        let draft = format!("{template}_draft");
        admin.run(&format!("drop database if exists {draft}")).await?;
        admin.run(&format!("create database {draft}")).await?;
        let store = Store::open_with(&settings(&url, &draft), migrations).await?;
        store.close().await;
        admin
            .run(&format!("alter database {draft} rename to {template}"))
            .await?;
    }
    let name = unique();
    admin
        .run(&format!("create database {name} template {template}"))
        .await?;
    admin.close().await?;
    Ok(Guard {
        settings: settings(&url, &name),
        kind: Kind::Server { url, name },
    })
}

/// Dropped from a thread of its own: a destructor cannot wait for a future where a runtime is running already.
fn drop_database(url: String, name: String) {
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .ok()?;
        runtime.block_on(async {
            let mut admin = Admin::connect(&url).await.ok()?;
            admin
                .run(&format!("drop database if exists {name} with (force)"))
                .await
                .ok()
        })
    };
    // Best effort: a database that stays is in nobody's way.
    drop(std::thread::spawn(work).join());
}

fn settings(url: &str, name: &str) -> Settings {
    Settings {
        database: Database::Postgres {
            url: with_database(url, name),
        },
        readers: 4,
    }
}

/// The URL with another database in it.
fn with_database(url: &str, name: &str) -> String {
    let (address, query) = url
        .split_once('?')
        .map_or((url, String::new()), |(address, query)| (address, format!("?{query}")));
    let authority = address.find("://").map_or(0, |at| at + 3);
    let server = address[authority..]
        .find('/')
        .map_or(address, |at| &address[..authority + at]);
    format!("{server}/{name}{query}")
}

fn template_name(migrations: &[Migration]) -> String {
    let mut hasher = DefaultHasher::new();
    for migration in migrations {
        (migration.version, migration.sql, migration.postgres).hash(&mut hasher);
    }
    format!("reeve_template_{:016x}", hasher.finish())
}

/// No two tests on one server have it: process, count, and a salt, as an earlier process may have had the same number.
fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let salt = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
    format!(
        "reeve_test_{}_{}_{salt:016x}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test runner says by the environment where its server is"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
