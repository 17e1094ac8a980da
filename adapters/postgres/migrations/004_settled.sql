-- For whom nothing is left to open, so that a look at everybody's schedule
-- need not load everybody's days. It may be emptied at any time.
create table slotbook.schedule_settled (
    practitioner text collate "C" not null primary key,
    revision     bigint           not null,
    until        timestamptz
);

comment on column slotbook.schedule_settled.revision is 'of the schedule';
comment on column slotbook.schedule_settled.until is 'when its horizon reaches a day further; null = never';
