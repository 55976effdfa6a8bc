-- The nouns. Ids are text, times are microseconds since 1970 UTC, documents are JSON text, booleans are 0 or 1.
create table secret (
    name text primary key,
    value text not null
);

create table signing_key (
    kid text primary key,
    private text not null,
    created_at bigint not null
);

create table tenant (
    id text primary key,
    number bigint not null,
    name text not null,
    created_at bigint not null
);

create table folder (
    id text primary key,
    tenant text not null references tenant(id),
    name text not null,
    created_at bigint not null,
    unique (tenant, name)
);

create table identity (
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
create index identity_secret on identity (secret_hash);

create table role_grant (
    id text primary key,
    tenant text not null references tenant(id),
    identity text not null references identity(id),
    role text not null,
    scope text not null,
    created_at bigint not null
);
create index role_grant_identity on role_grant (identity);

create table cluster (
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
create index cluster_tenant on cluster (tenant, name);

-- What one dialect keeps beside an entity; no rule reads it.
create table facet (
    entity text not null,
    dialect text not null,
    document text not null,
    updated_at bigint not null,
    primary key (entity, dialect)
);

create table pool (
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

-- The attributes each revision of a pool was declared with, as its dialect wrote them.
create table pool_revision (
    pool text not null references pool(id),
    revision bigint not null,
    attributes text not null,
    primary key (pool, revision)
);

create table bucket (
    id text primary key,
    pool text not null references pool(id),
    size text not null,
    position bigint not null,
    activated bigint not null,
    disabled bigint not null,
    exhausted_at bigint,
    unique (pool, size)
);

create table node (
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
    agent_seen bigint,
    unique (cluster, name_key)
);
create index node_due on node (due);
create index node_order on node (cluster, sequence);

-- What an agent told about its machine; large and seldom read, so it stands apart.
create table node_report (
    node text primary key references node(id) on delete cascade,
    instance text not null,
    facts text not null,
    sample text,
    scripts text,
    updated_at bigint not null
);

-- Secrets that admit agents: join tokens (single use when uses_left is 1) and the credentials they were exchanged for.
create table join_token (
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

create table agent_credential (
    hash text primary key,
    tenant text not null,
    node text not null references node(id) on delete cascade,
    incarnation bigint not null,
    created_at bigint not null
);
create index agent_credential_node on agent_credential (node);

create table operation (
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
create unique index operation_request on operation (tenant, request_key);
create index operation_order on operation (tenant, sequence);
create index operation_cluster on operation (cluster);

create table operation_target (
    operation text not null references operation(id) on delete cascade,
    position bigint not null,
    node text not null,
    generation bigint not null,
    primary key (operation, position)
);

-- Running totals that limits are checked against; changed in the transaction that changes the nodes they count.
create table tally (
    name text primary key,
    nodes bigint not null,
    cores bigint not null
);

create table counter (
    name text primary key,
    value bigint not null
);

create table audit (
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

create table event (
    sequence bigint primary key,
    at bigint not null,
    tenant text not null,
    folder text not null,
    cluster text,
    kind text not null,
    subject text not null,
    text text not null
);
