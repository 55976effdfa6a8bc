//! What both engines promise, and what only SQLite does; it deliberately knows no noun.

use reeve_store::args;
use reeve_store::engine::{Error, Result, Settings, Store, Value};
use reeve_store::migrate::Migration;
use reeve_store::testing::{Guard, databases, databases_with};
use std::sync::Arc;
use tokio::sync::Barrier;

const SCHEMA: &[Migration] = &[
    Migration {
        version: 1,
        sql: "create table thing (id bigint primary key, name text, size double precision)",
        postgres: None,
    },
    Migration {
        version: 2,
        sql: "create unique index thing_name on thing (name); create table other (id bigint)",
        postgres: Some("create unique index thing_name on thing (name); create table other (id bigint not null)"),
    },
];
const INSERT: &str = "insert into thing (id, name, size) values ($1, $2, $3)";

async fn all() -> Vec<(&'static str, Store, Guard)> {
    databases_with(SCHEMA).await
}

async fn add(store: &Store, id: i64) -> Result<()> {
    let mut tx = store.begin().await?;
    tx.run(INSERT, args![id, format!("thing {id}"), None::<f64>]).await?;
    tx.commit().await
}

async fn count(store: &Store) -> i64 {
    let mut reader = store.read().await.unwrap();
    reader
        .first("select count(*) from thing", args![])
        .await
        .unwrap()
        .unwrap()
        .int(0)
        .unwrap()
}

async fn again(guard: &Guard) -> Result<Store> {
    Store::open_with(guard.settings(), SCHEMA).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_dropped_without_commit_leaves_nothing() {
    for (kind, store, _guard) in all().await {
        let mut tx = store.begin().await.unwrap();
        tx.run(INSERT, args![1, "gone", 1.5]).await.unwrap();
        tx.notify("never", "said".to_owned());
        drop(tx);
        add(&store, 2).await.unwrap();
        assert_eq!(count(&store).await, 1, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_does_not_see_what_was_written_after_its_first_statement() {
    for (kind, store, _guard) in all().await {
        let mut reader = store.read().await.unwrap();
        let first = "select count(*) from thing";
        assert_eq!(
            reader.first(first, args![]).await.unwrap().unwrap().int(0),
            Ok(0),
            "{kind}"
        );
        add(&store, 1).await.unwrap();
        assert_eq!(
            reader.first(first, args![]).await.unwrap().unwrap().int(0),
            Ok(0),
            "{kind}"
        );
        drop(reader);
        assert_eq!(count(&store).await, 1, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_cannot_write() {
    for (kind, store, _guard) in all().await {
        let mut reader = store.read().await.unwrap();
        assert!(reader.run(INSERT, args![1, "one", 1.0]).await.is_err(), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_are_all_durable_and_share_commits_on_sqlite() {
    for (kind, store, guard) in all().await {
        // While one transaction is open, the others queue behind it: so they are one batch, whatever the machine's pace.
        let held = if kind == "sqlite" {
            Some(store.begin().await.unwrap())
        } else {
            None
        };
        let before = store.commits();
        let jobs = futures::future::join_all((0..64).map(|id| add(&store, id)));
        let release = async { drop(held) };
        let (outcomes, ()) = tokio::join!(jobs, release);
        assert!(outcomes.iter().all(Result::is_ok), "{kind}: {outcomes:?}");
        let commits = store.commits() - before;
        assert!(kind != "sqlite" || commits <= 8, "{commits} commits for 64 writers");
        store.close().await;
        assert_eq!(count(&again(&guard).await.unwrap()).await, 64, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_transaction_does_not_harm_the_others_of_its_batch() {
    for (kind, store, _guard) in all().await {
        add(&store, 0).await.unwrap();
        let start = Arc::new(Barrier::new(40));
        let jobs = (1..=40).map(|id| {
            let (store, start) = (store.clone(), start.clone());
            async move {
                start.wait().await;
                // Every fourth wants an id that is taken.
                add(&store, if id % 4 == 0 { 0 } else { id }).await
            }
        });
        let outcomes = futures::future::join_all(jobs).await;
        assert_eq!(
            outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
            30,
            "{kind}: {outcomes:?}"
        );
        assert_eq!(count(&store).await, 31, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_is_given_up_while_it_waits_does_not_harm_the_others() {
    for (kind, store, _guard) in all().await {
        for id in 0..50 {
            let mut unlucky = Box::pin(add(&store, 1000 + id));
            // Polled a few times and dropped: somewhere inside begin, the statement or the commit.
            for _ in 0..id % 7 {
                if futures::poll!(&mut unlucky).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(unlucky);
            add(&store, id).await.unwrap();
        }
        let mut reader = store.read().await.unwrap();
        let kept = reader
            .first("select count(*) from thing where id < 1000", args![])
            .await
            .unwrap()
            .unwrap();
        assert_eq!(kept.int(0), Ok(50), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_statement_failed_cannot_be_committed() {
    for (kind, store, _guard) in all().await {
        let mut tx = store.begin().await.unwrap();
        tx.run(INSERT, args![1, "one", 1.0]).await.unwrap();
        assert!(tx.run("insert into nowhere values (1)", args![]).await.is_err());
        assert!(tx.commit().await.is_err(), "{kind}");
        assert_eq!(count(&store).await, 0, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_refused_with_the_path_and_the_first_ones_number() {
    for (kind, store, guard) in all().await {
        let second = again(&guard).await.map(drop);
        if kind == "postgres" {
            assert_eq!(second, Ok(()));
            continue;
        }
        let Err(Error::InUse(text)) = second else {
            panic!("{second:?}")
        };
        assert!(
            text.contains("lock") && text.ends_with(&std::process::id().to_string()),
            "{text}"
        );
        store.close().await;
        assert_eq!(again(&guard).await.map(drop), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_program_is_refused() {
    for (kind, store, guard) in all().await {
        store.close().await;
        let older = Store::open_with(guard.settings(), &SCHEMA[..1]).await.map(drop);
        assert_eq!(older, Err(Error::Newer { found: 2, known: 1 }), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_of_this_program_is_made_on_every_engine() {
    for (kind, store, _guard) in databases().await {
        let mut reader = store.read().await.unwrap();
        let version = reader
            .first("select max(version) from schema_version", args![])
            .await
            .unwrap()
            .unwrap();
        assert!(version.int(0).unwrap() >= 1, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_at_once_migrate_once() {
    for (kind, _store, guard) in databases_with(&[]).await {
        if kind == "postgres" {
            let all = futures::future::join_all((0..4).map(|_| again(&guard))).await;
            let store = all.into_iter().next().unwrap().unwrap();
            assert_eq!(count(&store).await, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_there_already_is_told_by_type() {
    for (kind, store, _guard) in all().await {
        add(&store, 1).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let outcome = tx.run(INSERT, args![2, "thing 1", None::<f64>]).await;
        let Err(Error::Unique { constraint }) = outcome else {
            panic!("{kind}: {outcome:?}")
        };
        assert_eq!(constraint, if kind == "sqlite" { "thing.name" } else { "thing_name" });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_and_nulls_come_back_as_they_went() {
    for (kind, store, _guard) in all().await {
        let mut tx = store.begin().await.unwrap();
        tx.run(INSERT, args![i64::MAX, "naïve", 0.1]).await.unwrap();
        tx.run(INSERT, args![i64::MIN, None::<String>, None::<f64>])
            .await
            .unwrap();
        tx.run("insert into thing (id, size) values ($1, $2)", args![true, 3.0])
            .await
            .unwrap();
        let rows = tx
            .all("select id, name, size, size is null from thing order by id", args![])
            .await
            .unwrap();
        assert_eq!(rows[0].int(0), Ok(i64::MIN), "{kind}");
        assert_eq!(
            (rows[0].text_opt(1), rows[0].real_opt(2), rows[0].bool(3)),
            (Ok(None), Ok(None), Ok(true))
        );
        assert!(matches!(rows[0].text(1), Err(Error::Corrupt(_))), "{kind}");
        assert_eq!(
            (rows[1].int_opt(0), rows[1].real(2), rows[1].bool(0)),
            (Ok(Some(1)), Ok(3.0), Ok(true)),
            "{kind}"
        );
        assert_eq!(
            (rows[2].int(0), rows[2].text(1), rows[2].real(2)),
            (Ok(i64::MAX), Ok("naïve".into()), Ok(0.1))
        );
        assert!(matches!(rows[2].int(1), Err(Error::Corrupt(_))), "{kind}");
        let null = tx
            .first("select id from thing where id = $1", args![None::<i64>])
            .await
            .unwrap();
        assert!(null.is_none(), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_rows_are_inserted_at_once_and_read_one_by_one() {
    for (kind, store, _guard) in all().await {
        let rows: Vec<Value> = (0..10_000_i64)
            .flat_map(|id| args![id, format!("n{id}"), id as f64])
            .collect();
        let mut tx = store.begin().await.unwrap();
        let prefix = "insert into thing (id, name, size) values";
        assert_eq!(tx.insert_many(prefix, 3, rows.clone(), "").await, Ok(10_000), "{kind}");
        assert_eq!(
            tx.insert_many(prefix, 3, rows, "on conflict do nothing").await,
            Ok(0),
            "{kind}"
        );
        assert_eq!(tx.insert_many(prefix, 3, Vec::new(), "").await, Ok(0), "{kind}");
        tx.commit().await.unwrap();
        let mut sum = 0;
        let mut reader = store.read().await.unwrap();
        let add = &mut |row: &reeve_store::engine::Row| row.int(0).map(|id| sum += id);
        reader.each("select id from thing", args![], add).await.unwrap();
        let stop = &mut |_: &reeve_store::engine::Row| Err(Error::Other("enough".to_owned()));
        assert!(
            reader.each("select id from thing", args![], stop).await.is_err(),
            "{kind}"
        );
        assert_eq!(sum, 10_000 * 9_999 / 2, "{kind}");
        assert!(reader.first("select 1", args![]).await.unwrap().is_some(), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_arrives_only_after_its_commit_and_once() {
    for (kind, store, _guard) in all().await {
        let mut heard = store.subscribe();
        let mut dropped = store.begin().await.unwrap();
        dropped.notify("node", "dropped".to_owned());
        drop(dropped);
        let mut tx = store.begin().await.unwrap();
        tx.notify("node", "first".to_owned());
        assert!(heard.try_recv().is_err(), "{kind}");
        tx.commit().await.unwrap();
        let mut tx = store.begin().await.unwrap();
        tx.notify("pool", "second\nline".to_owned());
        tx.commit().await.unwrap();
        assert_eq!(heard.recv().await.unwrap(), ("node".into(), "first".into()), "{kind}");
        assert_eq!(
            heard.recv().await.unwrap(),
            ("pool".into(), "second\nline".into()),
            "{kind}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_reaches_the_other_servers_of_one_database() {
    for (kind, store, guard) in all().await {
        if kind == "postgres" {
            let other = again(&guard).await.unwrap();
            let mut heard = other.subscribe();
            let mut tx = store.begin().await.unwrap();
            tx.notify("node", "1\n2".to_owned());
            tx.commit().await.unwrap();
            assert_eq!(heard.recv().await.unwrap(), ("node".into(), "1\n2".into()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_says_that_it_is_gone() {
    for (kind, store, _guard) in all().await {
        assert_eq!(store.ping().await, Ok(()), "{kind}");
        store.close().await;
        assert!(matches!(store.begin().await.map(drop), Err(Error::Lost(_))), "{kind}");
        assert!(matches!(store.ping().await, Err(Error::Lost(_))), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_by_type_and_fails_no_later_work() {
    for (kind, store, _guard) in all().await {
        if kind != "sqlite" {
            continue;
        }
        add(&store, 1).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let pages = tx
            .first("pragma page_count", args![])
            .await
            .unwrap()
            .unwrap()
            .int(0)
            .unwrap();
        tx.first(&format!("pragma max_page_count = {}", pages + 2), args![])
            .await
            .unwrap();
        let outcome = tx.run(INSERT, args![2, "x".repeat(100_000), 1.0]).await;
        assert!(matches!(outcome, Err(Error::Full(_))), "{outcome:?}");
        drop(tx);
        add(&store, 3).await.unwrap();
        assert_eq!(count(&store).await, 2);
    }
}

#[expect(
    dead_code,
    reason = "compiled to prove that these may be sent and shared between tasks"
)]
fn assert_bounds(settings: Settings) {
    fn sent<T: Send>(_: &T) {}
    let work = async move {
        let store = Store::open(&settings).await?;
        let mut tx = store.begin().await?;
        tx.all("select 1", args![]).await?;
        tx.commit().await
    };
    sent(&work);
}
