//! The usage ledger and budgets, on every engine.

use reeve_model::{
    Timestamp,
    budget::{Budget, Level, Standing},
    cluster::{Aspects, Cluster, Goal, Phase},
    id::{ClusterId, FolderId, TenantId},
    usage::{Goods, Line, Money, Price, System},
};
use reeve_store::{
    args, budget, cluster,
    engine::{Store, Tx},
    testing::databases,
    usage::{self, Home, Of},
};
use uuid::Uuid;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn home(cluster: u128, folder: u128) -> Home {
    Home {
        tenant: TenantId(id(1)),
        folder: FolderId(id(folder)),
        cluster: ClusterId(id(cluster)),
    }
}

fn line(owner: &str, size: &str) -> Line {
    Line {
        cluster: "demo".into(),
        single: false,
        owner: owner.into(),
        goods: Goods {
            account: "cloud".into(),
            size: size.into(),
            region: "here".into(),
            spot: false,
            system: System::Linux,
        },
        cores: 4,
    }
}

async fn runs(store: &Store, of: Of, from: i64, until: i64) -> Vec<(i64, i64, i64)> {
    let mut seen = Vec::new();
    let mut db = store.read().await.expect("a reader");
    usage::runs(
        &mut db,
        of,
        Timestamp(from),
        Timestamp(until),
        &mut |line, from, until| {
            seen.push((line, from.0, until.0));
        },
    )
    .await
    .expect("runs");
    seen.sort_unstable();
    seen
}

async fn begin(store: &Store) -> Tx {
    store.begin().await.expect("a transaction")
}

#[tokio::test]
async fn a_line_like_another_is_the_same_line() {
    for (engine, store, _guard) in databases().await {
        let mut tx = begin(&store).await;
        let one = usage::line(&mut tx, home(7, 3), &line("htc", "a"))
            .await
            .expect("a line");
        let same = usage::line(&mut tx, home(7, 3), &line("htc", "a"))
            .await
            .expect("a line");
        let other = usage::line(&mut tx, home(7, 3), &line("htc", "b"))
            .await
            .expect("a line");
        let elsewhere = usage::line(&mut tx, home(8, 3), &line("htc", "a"))
            .await
            .expect("a line");
        tx.commit().await.expect("commit");
        assert_eq!(one, same, "{engine}");
        assert!(one != other && one != elsewhere, "{engine}");
        let mut db = store.read().await.expect("a reader");
        let lines = usage::lines(&mut db, Of::Cluster(home(7, 3).cluster))
            .await
            .expect("lines");
        assert_eq!(lines, [(one, line("htc", "a")), (other, line("htc", "b"))], "{engine}");
    }
}

#[tokio::test]
async fn a_run_is_opened_once_closed_once_and_may_be_followed_by_another() {
    for (engine, store, _guard) in databases().await {
        let of = Of::Cluster(home(7, 3).cluster);
        let mut tx = begin(&store).await;
        let line = usage::line(&mut tx, home(7, 3), &line("htc", "a"))
            .await
            .expect("a line");
        let run = [("m-1".to_owned(), line)];
        assert_eq!(usage::open(&mut tx, &run, Timestamp(100)).await.expect("open"), 1);
        assert_eq!(
            usage::open(&mut tx, &run, Timestamp(150)).await.expect("open"),
            0,
            "{engine}"
        );
        tx.commit().await.expect("commit");
        let mut tx = begin(&store).await;
        assert!(usage::close(&mut tx, "m-1", Timestamp(200)).await.expect("close"));
        assert!(!usage::close(&mut tx, "m-1", Timestamp(250)).await.expect("close"));
        usage::open(&mut tx, &run, Timestamp(300)).await.expect("open");
        tx.commit().await.expect("commit");
        let never = i64::MAX;
        assert_eq!(
            runs(&store, of, 0, 1000).await,
            [(line, 100, 200), (line, 300, never)],
            "{engine}"
        );
        assert_eq!(runs(&store, of, 200, 300).await, [], "{engine}");
        assert_eq!(runs(&store, of, 199, 300).await, [(line, 100, 200)], "{engine}");
        assert_eq!(runs(&store, of, 200, 301).await, [(line, 300, never)], "{engine}");
    }
}

#[tokio::test]
async fn a_run_whose_transaction_is_dropped_never_was() {
    for (engine, store, _guard) in databases().await {
        let mut tx = begin(&store).await;
        let line = usage::line(&mut tx, home(7, 3), &line("htc", "a"))
            .await
            .expect("a line");
        usage::open(&mut tx, &[("m-1".into(), line)], Timestamp(1))
            .await
            .expect("open");
        drop(tx);
        assert_eq!(runs(&store, Of::Tenant(home(7, 3).tenant), 0, 9).await, [], "{engine}");
    }
}

#[tokio::test]
async fn open_runs_are_found_among_any_number_of_tokens() {
    for (engine, store, _guard) in databases().await {
        let mut tx = begin(&store).await;
        let line = usage::line(&mut tx, home(7, 3), &line("htc", "a"))
            .await
            .expect("a line");
        let all: Vec<(String, i64)> = (0..1203).map(|number| (format!("m-{number:04}"), line)).collect();
        usage::open(&mut tx, &all, Timestamp(1)).await.expect("open");
        usage::close(&mut tx, "m-0007", Timestamp(2)).await.expect("close");
        for count in [0, 1, 4, 5, 64, 65, 500, 501, 1203] {
            let tokens: Vec<String> = (0..count).map(|number| format!("m-{number:04}")).collect();
            let mut open = usage::opened(&mut tx, &tokens).await.expect("open runs");
            open.sort();
            let expected: Vec<String> = tokens.into_iter().filter(|token| token != "m-0007").collect();
            assert_eq!(open, expected, "{engine} {count}");
        }
    }
}

#[tokio::test]
async fn usage_is_found_by_cluster_folder_and_tenant() {
    for (engine, store, _guard) in databases().await {
        let mut tx = begin(&store).await;
        for (number, (cluster, folder)) in [(7, 3), (8, 3), (9, 4)].into_iter().enumerate() {
            let line = usage::line(&mut tx, home(cluster, folder), &line("htc", "a"))
                .await
                .expect("a line");
            usage::open(&mut tx, &[(format!("m-{number}"), line)], Timestamp(1))
                .await
                .expect("open");
        }
        tx.commit().await.expect("commit");
        let tenant = home(7, 3).tenant;
        let counts = [
            (Of::Cluster(ClusterId(id(8))), 1),
            (Of::Folder(tenant, FolderId(id(3))), 2),
            (Of::Tenant(tenant), 3),
            (Of::Tenant(TenantId(id(2))), 0),
            (Of::Folder(TenantId(id(2)), FolderId(id(3))), 0),
        ];
        for (of, count) in counts {
            assert_eq!(runs(&store, of, 0, 9).await.len(), count, "{engine} {of:?}");
        }
    }
}

#[tokio::test]
async fn the_first_price_of_a_day_stays() {
    for (engine, store, _guard) in databases().await {
        let goods = line("htc", "a").goods;
        let mut tx = begin(&store).await;
        usage::line(&mut tx, home(7, 3), &line("htc", "a"))
            .await
            .expect("a line");
        assert_eq!(usage::newest_price(&mut tx, &goods).await.expect("a price"), None);
        for (day, price) in [(5, Some(Price(10))), (5, Some(Price(20))), (6, None)] {
            usage::fix_price(&mut tx, &goods, day, price).await.expect("a price");
        }
        let newest = usage::newest_price(&mut tx, &goods).await.expect("a price");
        assert_eq!(newest, Some(6), "{engine}");
        let all = usage::prices(&mut tx, Of::Cluster(home(7, 3).cluster))
            .await
            .expect("prices");
        assert_eq!(
            all,
            [(goods.clone(), 5, Some(Price(10))), (goods.clone(), 6, None)],
            "{engine}"
        );
        let none = usage::prices(&mut tx, Of::Cluster(home(8, 3).cluster))
            .await
            .expect("prices");
        assert_eq!(none, [], "{engine}");
        assert_eq!(usage::goods_in_use(&mut tx).await.expect("goods"), [], "{engine}");
        let number = usage::line(&mut tx, home(7, 3), &line("htc", "a"))
            .await
            .expect("a line");
        usage::open(&mut tx, &[("m-1".into(), number)], Timestamp(1))
            .await
            .expect("open");
        assert_eq!(usage::goods_in_use(&mut tx).await.expect("goods"), [goods], "{engine}");
    }
}

#[tokio::test]
async fn a_budget_keeps_its_standing_when_it_is_set_anew_and_goes_with_its_cluster() {
    for (engine, store, _guard) in databases().await {
        let mut tx = begin(&store).await;
        let cluster = owner(&mut tx).await;
        let now = Timestamp(5);
        let mut set = Budget {
            cluster: cluster.id,
            amount: Money(100),
            warn: vec![50, 80],
            freeze: Some(100),
            drain: None,
        };
        budget::put(&mut tx, cluster.tenant, &set, now).await.expect("a budget");
        let found = budget::find(&mut tx, cluster.id)
            .await
            .expect("a budget")
            .expect("is there");
        assert_eq!((&found.budget, found.standing), (&set, None), "{engine}");
        let standing = Standing {
            month: Timestamp(1),
            spent: Money(60),
            unpriced: true,
            level: Level::Warned(50),
            since: Timestamp(4),
        };
        let written = budget::reckoned(&mut tx, cluster.id, None, &standing).await;
        assert!(written.expect("reckoned"), "{engine}");
        let stale = budget::reckoned(&mut tx, cluster.id, None, &standing).await;
        assert!(!stale.expect("not reckoned"), "{engine}");
        set.amount = Money(200);
        set.warn.clear();
        budget::put(&mut tx, cluster.tenant, &set, now).await.expect("a budget");
        let all = budget::list(&mut tx, None).await.expect("budgets");
        assert_eq!(all.len(), 1);
        assert_eq!(
            (&all[0].budget, all[0].standing.as_ref()),
            (&set, Some(&standing)),
            "{engine}"
        );
        let strangers = budget::list(&mut tx, Some(TenantId(id(99)))).await.expect("budgets");
        assert_eq!(strangers, []);
        cluster::delete(&mut tx, cluster.id).await.expect("delete");
        assert_eq!(budget::find(&mut tx, cluster.id).await.expect("none"), None, "{engine}");
        assert!(!budget::delete(&mut tx, cluster.id).await.expect("none"));
    }
}

/// A cluster with all that it needs to be there.
async fn owner(tx: &mut Tx) -> Cluster {
    let Home {
        tenant,
        folder,
        cluster,
    } = home(7, 3);
    tx.run(
        "insert into tenant (id, number, name, created_at) values ($1, 1, 't', 0)",
        args![tenant.to_string()],
    )
    .await
    .expect("a tenant");
    tx.run(
        "insert into folder (id, tenant, name, created_at) values ($1, $2, 'f', 0)",
        args![folder.to_string(), tenant.to_string()],
    )
    .await
    .expect("a folder");
    let cluster = Cluster {
        id: cluster,
        tenant,
        folder,
        name: "demo".into(),
        aspects: Aspects::default(),
        goal: Goal::Idle,
        generation: 0,
        phase: Phase::Idle,
        max_count: 1,
        max_cores: 1,
        domain: None,
        version: None,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        last_seen: None,
        delete_requested_at: None,
        simulated: false,
    };
    cluster::insert(tx, &cluster).await.expect("a cluster");
    cluster
}
