-- A read model that somebody has paused does not move until it is resumed.
alter table slotbook.projection_checkpoint
    add column paused_at timestamptz,
    add column rate bigint check (rate > 0);

comment on column slotbook.projection_checkpoint.paused_at is 'since when nobody may move the tables; null while they move';
comment on column slotbook.projection_checkpoint.rate is 'positions a second of the build that made the tables; null when they grew with the log';
