-- How far each consumer of the log is: whoever reacts to events, one at a time.
create table slotbook.reaction_checkpoint (
    consumer    text collate "C" not null primary key,
    position    bigint           not null,
    store_epoch text collate "C" not null,
    epoch       bigint           not null,
    owner       text collate "C",
    lease_until timestamptz,
    moved_at    timestamptz      not null
) with (fillfactor = 20);

comment on column slotbook.reaction_checkpoint.position is 'every event up to here was handled, or is parked';
comment on column slotbook.reaction_checkpoint.store_epoch is 'of the log that the position is of';
comment on column slotbook.reaction_checkpoint.epoch is 'raised whenever the owner changes; writes under an older epoch are refused';
comment on column slotbook.reaction_checkpoint.moved_at is 'when the owner has last written the position';

-- What a consumer could not handle, however often it tried. There are no copies
-- of events here: they are in the log.
create table slotbook.reaction_parked (
    consumer  text collate "C" not null,
    event_id  uuid             not null,
    stream    text collate "C" not null,
    type      text collate "C" not null,
    position  bigint           not null,
    error     text             not null,
    tries     bigint           not null,
    parked_at timestamptz      not null,
    retry_at  timestamptz,
    primary key (consumer, event_id)
);

create index reaction_parked_retry on slotbook.reaction_parked (consumer, position) where retry_at is not null;

comment on column slotbook.reaction_parked.error is 'of the last try';
comment on column slotbook.reaction_parked.parked_at is 'when the last try had failed';
comment on column slotbook.reaction_parked.retry_at is 'when somebody asked for another try; null while nobody has';
