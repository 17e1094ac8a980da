-- The event store, and the keys that personal text is sealed under. These
-- tables are precious: nothing here can be made again from anything else.

-- data and metadata are json, not jsonb: json keeps the text byte for byte,
-- and "the same append sent again" is decided on equal bytes. It also costs a
-- tenth less to insert. Queries that dig in the data cast to jsonb.
create table slotbook.events (
    position    bigint           not null,
    stream      text collate "C" not null,
    revision    bigint           not null,
    event_id    uuid             not null,
    type        text collate "C" not null,
    data        json             not null,
    metadata    json             not null,
    recorded_at timestamptz      not null,
    constraint events_position primary key (position),
    constraint events_stream_revision unique (stream, revision),
    constraint events_event_id unique (event_id)
);

comment on table slotbook.events is 'every event, in commit order; rows are only ever added';

create function slotbook.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'slotbook.events only grows: % is refused', lower(tg_op);
end
$$;

create trigger events_only_grow
    before update or delete or truncate on slotbook.events
    for each statement execute function slotbook.refuse_change();

-- One row, whose lock is the right to append. It is locked and never updated:
-- an updated row dies slowly under a long snapshot. The next position is
-- greatest(floor, the last position) + 1; whoever restores an older backup
-- raises the floor above every position that followers have seen.
create table slotbook.log_head (
    id    smallint not null primary key check (id = 1),
    floor bigint   not null check (floor >= 0)
);

insert into slotbook.log_head (id, floor) values (1, 0);

-- One key for each person, wrapped under the master key. Destroying a key
-- keeps the row without the key, so that it is never made anew.
create table slotbook.person_key (
    person       text collate "C" not null primary key,
    wrapped      bytea,
    created_at   timestamptz      not null default now(),
    destroyed_at timestamptz,
    check ((wrapped is null) = (destroyed_at is not null))
);
