-- Which store this is, and which history of it. Whoever puts an earlier state
-- of the log in place gives it another epoch: what was read from the history
-- that is gone must not be taken for what has happened in this one.
create table slotbook.store (
    one      smallint    not null primary key check (one = 1),
    id       uuid        not null,
    epoch    uuid        not null,
    begun_at timestamptz not null
);

comment on table slotbook.store is 'one row: the identity of the log';
comment on column slotbook.store.id is 'stays the same for ever, also when a backup is restored elsewhere';
comment on column slotbook.store.epoch is 'another one after every restore';
comment on column slotbook.store.begun_at is 'when the epoch began';

insert into slotbook.store (one, id, epoch, begun_at)
values (1, gen_random_uuid(), gen_random_uuid(), clock_timestamp());

alter table slotbook.projection_checkpoint add column store_epoch text collate "C";

comment on column slotbook.projection_checkpoint.store_epoch is 'of the log that the tables were made from; null where an older program made them';

update slotbook.projection_checkpoint
set store_epoch = (select epoch::text from slotbook.store);
