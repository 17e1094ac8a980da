-- Where each read model stands. The read models themselves live in schemas of
-- their own, {model}_v{version}, which the program makes, fills and drops; they
-- can always be made again from slotbook.events and are never migrated.

-- For the search of patients by a part of their name or telephone number.
create extension if not exists pg_trgm with schema public;

-- One row for each schema of derived tables: the live one, and those with the
-- suffix _next (being built), _prev (replaced) and _verify (a proof).
create table slotbook.projection_checkpoint (
    schema      text collate "C" not null primary key,
    model       text collate "C" not null,
    version     bigint           not null,
    position    bigint           not null,
    recorded_at timestamptz,
    epoch       bigint           not null,
    owner       text collate "C",
    lease_until timestamptz
) with (fillfactor = 20);

comment on column slotbook.projection_checkpoint.position is 'the tables hold every event up to here and none after';
comment on column slotbook.projection_checkpoint.recorded_at is 'of the last event that was seen; null before the first';
comment on column slotbook.projection_checkpoint.epoch is 'raised whenever the owner changes; writes under an older epoch are refused';

-- What could not be folded. "table" is empty where a whole stream is parked,
-- and key is the stream then.
create table slotbook.projection_parked (
    schema   text collate "C" not null,
    "table"  text collate "C" not null,
    key      text collate "C" not null,
    position bigint           not null,
    error    text             not null,
    count    bigint           not null,
    primary key (schema, "table", key)
);

comment on column slotbook.projection_parked.position is 'of the first event that was not folded';
comment on column slotbook.projection_parked.count is 'how many events were not folded';
