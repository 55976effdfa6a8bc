//! The schema of each engine as a golden file, so that a migration shows as a change of the whole, and old databases as
//! equal to new ones. `UPDATE_EXPECT=1` writes the files anew.

use expect_test::{ExpectFile, expect_file};
use reeve_store::{
    args,
    engine::Store,
    migrate::{self, MIGRATIONS},
    testing::databases_with,
};

fn golden(engine: &str) -> ExpectFile {
    match engine {
        "sqlite" => expect_file!["../../schema/sqlite.sql"],
        _ => expect_file!["../../schema/postgres.txt"],
    }
}

const SQLITE: &str = "select sql || ';' from sqlite_master where sql is not null order by type desc, name";

const POSTGRES: [&str; 3] = [
    "select table_name::text || '.' || column_name::text || ' ' || data_type::text || \
     case is_nullable when 'NO' then ' not null' else '' end || coalesce(' default ' || column_default::text, '') \
     from information_schema.columns where table_schema = current_schema() order by table_name::text, ordinal_position",
    "select c.conrelid::regclass::text || ': ' || pg_get_constraintdef(c.oid) from pg_constraint c \
     where c.connamespace = current_schema()::regnamespace and c.contype in ('p', 'u', 'f', 'c') order by 1",
    "select indexdef::text from pg_indexes where schemaname = current_schema() order by indexname",
];

/// The whole schema as the engine tells it.
async fn dump(store: &Store) -> String {
    let statements: &[&str] = match store.kind() {
        "sqlite" => &[SQLITE],
        _ => &POSTGRES,
    };
    let mut db = store.read().await.unwrap();
    let mut lines = Vec::new();
    for statement in statements {
        for row in db.all(statement, args![]).await.unwrap() {
            lines.push(row.text(0).unwrap());
        }
    }
    lines.join("\n") + "\n"
}

#[tokio::test]
async fn the_schema_is_the_one_checked_in() {
    for (engine, store, _guard) in databases_with(MIGRATIONS).await {
        golden(engine).assert_eq(&dump(&store).await);
    }
}

#[tokio::test]
async fn a_database_of_any_earlier_version_becomes_the_same_as_a_fresh_one() {
    for earlier in 1..MIGRATIONS.len() {
        for (engine, store, _guard) in databases_with(&MIGRATIONS[..earlier]).await {
            migrate::run(&store, MIGRATIONS).await.unwrap();
            golden(engine).assert_eq(&dump(&store).await);
        }
    }
}
