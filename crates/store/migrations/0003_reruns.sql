-- Initialization may be run again on the same machine; what an agent says speaks of one of these runs.
alter table node add column reruns bigint not null default 0;
alter table node add column agent_rerun bigint not null default 0;
