-- Which event store this database belongs to, where its events are not in the
-- table of events here: two logs under one set of keys and read models would
-- be two truths.
create table slotbook.elsewhere (
    one        smallint         not null primary key check (one = 1),
    store      text collate "C" not null,
    since      timestamptz      not null default clock_timestamp()
);

comment on table slotbook.elsewhere is 'at most one row: the identity of the event store that is kept elsewhere; none where the events are here';
