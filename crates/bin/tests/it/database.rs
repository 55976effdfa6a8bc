//! The database of a server that does not run, opened as the server opens it: for what no caller can bring about, such
//! as a token whose time is over or a schema of the future.

use std::path::Path;

use reeve_store::engine::{Database, Settings, Store, Value};

/// Runs one statement in the database of a data folder.
///
/// # Panics
/// When the folder is in use, or the statement fails.
pub(crate) async fn run(data: &Path, sql: &str, values: Vec<Value>) -> u64 {
    let database = Database::Sqlite {
        path: data.join("reeve.db"),
    };
    let store = Store::open(&Settings { database, readers: 1 })
        .await
        .expect("open the database");
    let mut tx = store.begin().await.expect("begin");
    let changed = tx.run(sql, values).await.expect("run the statement");
    tx.commit().await.expect("commit");
    store.close().await;
    changed
}
