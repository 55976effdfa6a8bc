-- The usage ledger. It outlives what it tells of: no reference to clusters, pools or nodes.
-- Machines of one line are alike, so that each run is only a line's number and two times.
create table usage_line (
    id bigint primary key,
    tenant text not null,
    folder text not null,
    cluster text not null,
    cluster_name text not null,
    single bigint not null,
    owner text not null,
    account text not null,
    size text not null,
    region text not null,
    spot bigint not null,
    system text not null,
    cores bigint not null,
    unique (cluster, single, owner, account, size, region, spot, system, cores)
);
create index usage_line_tenant on usage_line (tenant, folder);

-- One run of one machine. While it runs, its end is the largest integer: later than any question.
create table usage_run (
    token text not null,
    started_at bigint not null,
    line bigint not null references usage_line(id),
    ended_at bigint not null,
    primary key (token, started_at)
);
create unique index usage_run_open on usage_run (token) where ended_at = 9223372036854775807;
create index usage_run_line on usage_run (line, ended_at);

-- What goods cost on a day, counted from 1970; no price: not known. Written once for each day, never changed. A day
-- without a row costs what the one before did.
create table usage_price (
    account text not null,
    size text not null,
    region text not null,
    spot bigint not null,
    system text not null,
    day bigint not null,
    price_micros bigint,
    primary key (account, size, region, spot, system, day)
);

create table budget (
    cluster text primary key references cluster(id) on delete cascade,
    tenant text not null,
    amount_micros bigint not null,
    warn_percent text not null,
    freeze_percent bigint,
    drain_percent bigint,
    -- written by the budget reconciler
    month bigint,
    spent_micros bigint not null,
    unpriced bigint not null,
    level text not null,
    since bigint not null
);
create index budget_tenant on budget (tenant);

-- Machines that run already are looked at once more, which opens their runs.
update node set due = 0 where holds = 1;
