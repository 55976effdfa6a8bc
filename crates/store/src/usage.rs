//! The usage ledger: lines, runs of machines, prices by day.
//!
//! A run is opened and closed in the transaction that records what was seen of its machine. Opening twice is opening
//! once, by the index on open runs; closing what is closed changes nothing.

use reeve_model::{
    Timestamp,
    id::{ClusterId, FolderId, TenantId},
    usage::{Goods, Line, Price, System},
};

use crate::{
    args,
    codec::{narrow, word},
    engine::{Conn, Error, Result, Row, Tx, Value},
    ledger::take,
};

/// Whose usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// One cluster's, also after it is gone.
    Cluster(ClusterId),
    /// A folder's.
    Folder(TenantId, FolderId),
    /// A tenant's.
    Tenant(TenantId),
}

impl Of {
    /// A condition on `usage_line l` with its arguments, numbered from 1.
    fn condition(self) -> (&'static str, Vec<Value>) {
        match self {
            Self::Cluster(id) => ("l.cluster = $1", args![id.to_string()]),
            Self::Folder(tenant, folder) => (
                "l.tenant = $1 and l.folder = $2",
                args![tenant.to_string(), folder.to_string()],
            ),
            Self::Tenant(tenant) => ("l.tenant = $1", args![tenant.to_string()]),
        }
    }
}

/// Where a line belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    /// The tenant.
    pub tenant: TenantId,
    /// The folder.
    pub folder: FolderId,
    /// The cluster.
    pub cluster: ClusterId,
}

const GOODS: &str = "account, size, region, spot, system";

fn goods(row: &Row, first: usize) -> Result<Goods> {
    Ok(Goods {
        account: row.text(first)?,
        size: row.text(first + 1)?,
        region: row.text(first + 2)?,
        spot: row.bool(first + 3)?,
        system: word(row, first + 4, System::parse)?,
    })
}

fn goods_args(goods: &Goods) -> Vec<Value> {
    args![
        goods.account.as_str(),
        goods.size.as_str(),
        goods.region.as_str(),
        goods.spot,
        goods.system.word(),
    ]
}

/// The number of a line, which is begun if there is none like it.
pub async fn line(tx: &mut Tx, home: Home, line: &Line) -> Result<i64> {
    const FIND: &str = "select id from usage_line where cluster = $1 and single = $2 and owner = $3 and cores = $4 and \
        account = $5 and size = $6 and region = $7 and spot = $8 and system = $9";
    let key = || {
        let mut key = args![home.cluster.to_string(), line.single, line.owner.as_str(), line.cores];
        key.extend(goods_args(&line.goods));
        key
    };
    if let Some(row) = tx.first(FIND, key()).await? {
        return row.int(0);
    }
    let id = take(tx, "usage_line", 1).await?;
    let mut values = key();
    values.extend(args![
        id,
        home.tenant.to_string(),
        home.folder.to_string(),
        line.cluster.as_str()
    ]);
    tx.run(
        "insert into usage_line (cluster, single, owner, cores, account, size, region, spot, system, id, tenant, \
         folder, cluster_name) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) on conflict do nothing",
        values,
    )
    .await?;
    // Another server may have begun it in between.
    match tx.first(FIND, key()).await? {
        Some(row) => row.int(0),
        None => Err(Error::Other("a usage line was neither found nor begun".into())),
    }
}

/// Opens runs: (token of the machine, line). A machine whose run is open keeps the one it has.
pub async fn open(tx: &mut Tx, runs: &[(String, i64)], now: Timestamp) -> Result<u64> {
    let mut values = Vec::with_capacity(runs.len() * 4);
    for (token, line) in runs {
        values.extend(args![token.as_str(), now.0, *line, Timestamp::NEVER.0]);
    }
    tx.insert_many(
        "insert into usage_run (token, started_at, line, ended_at) values",
        4,
        values,
        "on conflict do nothing",
    )
    .await
}

/// Closes the open run of a machine, if there is one.
pub async fn close(tx: &mut Tx, token: &str, now: Timestamp) -> Result<bool> {
    let closed = tx
        .run(
            "update usage_run set ended_at = $1 where token = $2 and ended_at = $3",
            args![now.0, token, Timestamp::NEVER.0],
        )
        .await?;
    Ok(closed > 0)
}

/// Those of `tokens` whose run is open.
pub async fn opened(db: &mut Conn, tokens: &[String]) -> Result<Vec<String>> {
    /// Statements come in few lengths, so that each is parsed once.
    const HEIGHTS: [usize; 3] = [4, 64, 500];
    let mut open = Vec::new();
    for chunk in tokens.chunks(HEIGHTS[2]) {
        let height = HEIGHTS
            .into_iter()
            .find(|height| chunk.len() <= *height)
            .unwrap_or(HEIGHTS[2]);
        let places: Vec<String> = (2..height + 2).map(|number| format!("${number}")).collect();
        let sql = format!(
            "select token from usage_run where ended_at = $1 and token in ({})",
            places.join(", ")
        );
        let mut values = args![Timestamp::NEVER.0];
        let last = chunk.last();
        values.extend(
            chunk
                .iter()
                .chain(std::iter::repeat_n(last, height - chunk.len()).flatten())
                .map(|token| Value::from(token.as_str())),
        );
        for row in db.all(&sql, values).await? {
            open.push(row.text(0)?);
        }
    }
    Ok(open)
}

/// Lines by number.
pub async fn lines(db: &mut Conn, of: Of) -> Result<Vec<(i64, Line)>> {
    let (condition, values) = of.condition();
    let sql = format!(
        "select l.id, l.cluster_name, l.single, l.owner, l.cores, l.account, l.size, l.region, l.spot, l.system \
         from usage_line l where {condition}"
    );
    let rows = db.all(&sql, values).await?;
    rows.iter()
        .map(|row| {
            let line = Line {
                cluster: row.text(1)?,
                single: row.bool(2)?,
                owner: row.text(3)?,
                cores: narrow(row, 4)?,
                goods: goods(row, 5)?,
            };
            Ok((row.int(0)?, line))
        })
        .collect()
}

/// Hands over the runs that touch a time, one by one: line, beginning, end ([`Timestamp::NEVER`] while it runs).
pub async fn runs(
    db: &mut Conn,
    of: Of,
    from: Timestamp,
    until: Timestamp,
    take: &mut (dyn FnMut(i64, Timestamp, Timestamp) + Send),
) -> Result<()> {
    let (condition, mut values) = of.condition();
    let (from_place, until_place) = (values.len() + 1, values.len() + 2);
    values.extend(args![from.0, until.0]);
    let sql = format!(
        "select r.line, r.started_at, r.ended_at from usage_line l join usage_run r on r.line = l.id \
         where {condition} and r.ended_at > ${from_place} and r.started_at < ${until_place}"
    );
    db.each(&sql, values, &mut |row| {
        take(row.int(0)?, Timestamp(row.int(1)?), Timestamp(row.int(2)?));
        Ok(())
    })
    .await
}

/// Prices that lines of these were ever counted at: goods, day, price.
pub async fn prices(db: &mut Conn, of: Of) -> Result<Vec<(Goods, i64, Option<Price>)>> {
    let (condition, values) = of.condition();
    let sql = format!(
        "select p.account, p.size, p.region, p.spot, p.system, p.day, p.price_micros from usage_price p \
         where exists (select 1 from usage_line l where {condition} and l.account = p.account and l.size = p.size \
         and l.region = p.region and l.spot = p.spot and l.system = p.system) order by p.day"
    );
    let rows = db.all(&sql, values).await?;
    rows.iter()
        .map(|row| Ok((goods(row, 0)?, row.int(5)?, row.int_opt(6)?.map(Price))))
        .collect()
}

/// The newest day that has a price.
pub async fn newest_price(db: &mut Conn, goods: &Goods) -> Result<Option<i64>> {
    let row = db
        .first(
            "select day from usage_price where account = $1 and size = $2 and region = $3 and spot = $4 \
             and system = $5 order by day desc limit 1",
            goods_args(goods),
        )
        .await?;
    row.map(|row| row.int(0)).transpose()
}

/// Writes down what goods cost on a day; the first one to write a day is right.
pub async fn fix_price(tx: &mut Tx, goods: &Goods, day: i64, price: Option<Price>) -> Result<()> {
    let mut values = goods_args(goods);
    values.extend(args![day, price.map(|price| price.0)]);
    let sql = format!(
        "insert into usage_price ({GOODS}, day, price_micros) values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing"
    );
    tx.run(&sql, values).await.map(|_| ())
}

/// Goods that machines use now.
pub async fn goods_in_use(db: &mut Conn) -> Result<Vec<Goods>> {
    let sql = format!(
        "select distinct {GOODS} from usage_line l where exists \
         (select 1 from usage_run r where r.line = l.id and r.ended_at = $1)"
    );
    let rows = db.all(&sql, args![Timestamp::NEVER.0]).await?;
    rows.iter().map(|row| goods(row, 0)).collect()
}
