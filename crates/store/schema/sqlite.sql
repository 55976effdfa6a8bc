CREATE TABLE agent_credential (
    hash text primary key,
    tenant text not null,
    node text not null references node(id) on delete cascade,
    incarnation bigint not null,
    created_at bigint not null
);
CREATE TABLE audit (
    sequence bigint primary key,
    at bigint not null,
    tenant text not null,
    actor text not null,
    actor_name text not null,
    verb text not null,
    resource text not null,
    outcome text not null,
    detail text not null,
    request_id text not null
);
CREATE TABLE bucket (
    id text primary key,
    pool text not null references pool(id),
    size text not null,
    position bigint not null,
    activated bigint not null,
    disabled bigint not null,
    exhausted_at bigint,
    unique (pool, size)
);
CREATE TABLE budget (
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
CREATE TABLE cluster (
    id text primary key,
    tenant text not null references tenant(id),
    folder text not null references folder(id),
    name text not null,
    attached bigint not null,
    managed bigint not null,
    elastic bigint not null,
    goal text not null,
    generation bigint not null,
    phase text not null,
    max_count bigint not null,
    max_cores bigint not null,
    domain text,
    version text,
    created_at bigint not null,
    updated_at bigint not null,
    last_seen bigint,
    delete_requested_at bigint,
    simulated bigint not null,
    node_sequence bigint not null,
    unique (folder, name)
);
CREATE TABLE counter (
    name text primary key,
    value bigint not null
);
CREATE TABLE event (
    sequence bigint primary key,
    at bigint not null,
    tenant text not null,
    folder text not null,
    cluster text,
    kind text not null,
    subject text not null,
    text text not null
);
CREATE TABLE facet (
    entity text not null,
    dialect text not null,
    document text not null,
    updated_at bigint not null,
    primary key (entity, dialect)
);
CREATE TABLE folder (
    id text primary key,
    tenant text not null references tenant(id),
    name text not null,
    created_at bigint not null,
    unique (tenant, name)
);
CREATE TABLE identity (
    id text primary key,
    tenant text not null references tenant(id),
    kind text not null,
    name text not null,
    secret_hash text not null,
    created_at bigint not null,
    expires_at bigint,
    revoked_at bigint,
    unique (tenant, kind, name)
);
CREATE TABLE join_token (
    hash text primary key,
    tenant text not null,
    cluster text not null references cluster(id) on delete cascade,
    node text,
    incarnation bigint not null,
    used_by text,
    single_use bigint not null,
    created_at bigint not null,
    expires_at bigint not null
);
CREATE TABLE node (
    id text primary key,
    tenant text not null,
    cluster text not null references cluster(id),
    pool text not null references pool(id),
    pool_revision bigint not null,
    name text not null,
    name_key text not null,
    sequence bigint not null,
    size text not null,
    cores bigint not null,
    quota_cores bigint not null,
    spot bigint not null,
    placement_group text,
    single bigint not null,
    fixed bigint not null,
    keep_alive bigint not null,
    shutdown_policy text not null,
    start_timeout_us bigint not null,
    created_at bigint not null,
    -- written by verbs
    goal text not null,
    generation bigint not null,
    overrides text,
    -- written by the node reconciler, fenced by epoch
    phase text not null,
    reason text not null,
    message text not null,
    since bigint not null,
    deadline bigint,
    attempts bigint not null,
    settled bigint not null,
    incarnation bigint not null,
    holds bigint not null,
    machine text,
    address text,
    hostname text,
    provider_request text,
    ready_at bigint,
    due bigint not null,
    epoch bigint not null,
    -- written by the agent's calls
    agent_incarnation bigint not null,
    agent_init text not null,
    agent_message text not null,
    agent_drained bigint not null,
    agent_hostname text,
    agent_seen bigint, reruns bigint not null default 0, agent_rerun bigint not null default 0,
    unique (cluster, name_key)
);
CREATE TABLE node_report (
    node text primary key references node(id) on delete cascade,
    instance text not null,
    facts text not null,
    sample text,
    scripts text,
    updated_at bigint not null
);
CREATE TABLE operation (
    id text primary key,
    tenant text not null,
    cluster text not null references cluster(id) on delete cascade,
    verb text not null,
    actor text not null,
    actor_name text not null,
    request_key text,
    created_at bigint not null,
    sequence bigint not null
);
CREATE TABLE operation_target (
    operation text not null references operation(id) on delete cascade,
    position bigint not null,
    node text not null,
    generation bigint not null,
    primary key (operation, position)
);
CREATE TABLE pool (
    id text primary key,
    cluster text not null references cluster(id),
    name text not null,
    kind text not null,
    position bigint not null,
    revision bigint not null,
    account text not null,
    region text not null,
    zone text,
    sizes text not null,
    max_count bigint,
    max_cores bigint,
    core_count bigint,
    interruptible bigint not null,
    max_price double precision,
    placement_group text,
    group_size_max bigint not null,
    initial_count bigint not null,
    initial_cores bigint not null,
    keep_alive bigint not null,
    fixed bigint not null,
    shutdown_policy text not null,
    start_automatically bigint not null,
    name_format text,
    name_offset bigint not null,
    start_timeout_us bigint not null,
    throttle_us bigint not null,
    scripts text not null,
    removed bigint not null,
    unique (cluster, name)
);
CREATE TABLE pool_revision (
    pool text not null references pool(id),
    revision bigint not null,
    attributes text not null,
    primary key (pool, revision)
);
CREATE TABLE role_grant (
    id text primary key,
    tenant text not null references tenant(id),
    identity text not null references identity(id),
    role text not null,
    scope text not null,
    created_at bigint not null
);
CREATE TABLE schema_version (version bigint primary key, applied_at bigint not null);
CREATE TABLE secret (
    name text primary key,
    value text not null
);
CREATE TABLE signing_key (
    kid text primary key,
    private text not null,
    created_at bigint not null
);
CREATE TABLE tally (
    name text primary key,
    nodes bigint not null,
    cores bigint not null
);
CREATE TABLE tenant (
    id text primary key,
    number bigint not null,
    name text not null,
    created_at bigint not null
);
CREATE TABLE usage_line (
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
CREATE TABLE usage_price (
    account text not null,
    size text not null,
    region text not null,
    spot bigint not null,
    system text not null,
    day bigint not null,
    price_micros bigint,
    primary key (account, size, region, spot, system, day)
);
CREATE TABLE usage_run (
    token text not null,
    started_at bigint not null,
    line bigint not null references usage_line(id),
    ended_at bigint not null,
    primary key (token, started_at)
);
CREATE INDEX agent_credential_node on agent_credential (node);
CREATE INDEX budget_tenant on budget (tenant);
CREATE INDEX cluster_tenant on cluster (tenant, name);
CREATE INDEX identity_secret on identity (secret_hash);
CREATE INDEX node_due on node (due);
CREATE INDEX node_order on node (cluster, sequence);
CREATE INDEX operation_cluster on operation (cluster);
CREATE INDEX operation_order on operation (tenant, sequence);
CREATE UNIQUE INDEX operation_request on operation (tenant, request_key);
CREATE INDEX role_grant_identity on role_grant (identity);
CREATE INDEX usage_line_tenant on usage_line (tenant, folder);
CREATE INDEX usage_run_line on usage_run (line, ended_at);
CREATE UNIQUE INDEX usage_run_open on usage_run (token) where ended_at = 9223372036854775807;
