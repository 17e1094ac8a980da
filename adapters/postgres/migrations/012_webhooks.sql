-- Who wants to be told of events. Operators have made these, and nothing else
-- knows them.
create table slotbook.webhook (
    id              uuid             not null primary key,
    url             text             not null,
    types           text[] collate "C" not null,
    clinic          text collate "C",
    description     text             not null,
    secret          bytea            not null,
    old_secret      bytea,
    old_until       timestamptz,
    after_position  bigint           not null,
    disabled_at     timestamptz,
    disabled_reason text,
    created_at      timestamptz      not null,
    changed_at      timestamptz      not null,
    check ((old_secret is null) = (old_until is null)),
    check ((disabled_at is null) = (disabled_reason is null))
);

comment on column slotbook.webhook.types is 'types of events, or their beginnings with .*; none = every event';
comment on column slotbook.webhook.clinic is 'events of this clinic only; null = of all, and those that are of none';
comment on column slotbook.webhook.secret is 'signs what is sent; sealed under the master key';
comment on column slotbook.webhook.old_secret is 'the one before, which signs too until old_until';
comment on column slotbook.webhook.after_position is 'events after this are sent by themselves';

-- What is to be sent, and what became of it. There are no copies of events
-- here: they are in the log.
create table slotbook.webhook_delivery (
    webhook     uuid             not null,
    event_id    uuid             not null,
    position    bigint           not null,
    type        text collate "C" not null,
    stream      text collate "C" not null,
    status      text             not null check (status in ('pending', 'delivered', 'failed', 'cancelled')),
    round       bigint           not null,
    tries       bigint           not null,
    code        bigint,
    error       text,
    enqueued_at timestamptz      not null,
    tried_at    timestamptz,
    due_at      timestamptz,
    done_at     timestamptz,
    primary key (webhook, event_id)
);

create index webhook_delivery_position on slotbook.webhook_delivery (webhook, position);
create index webhook_delivery_open on slotbook.webhook_delivery (webhook, status, enqueued_at) where status in ('pending', 'failed');
create index webhook_delivery_done on slotbook.webhook_delivery (done_at) where done_at is not null;

comment on column slotbook.webhook_delivery.round is 'raised whenever somebody has it sent again; jobs of an older round do nothing';
comment on column slotbook.webhook_delivery.tries is 'of this round';
comment on column slotbook.webhook_delivery.code is 'of the last answer over HTTP; null when there was none';
comment on column slotbook.webhook_delivery.due_at is 'when the next try is, or was to be';

-- How far events of the past are that somebody wants to have sent again.
create table slotbook.webhook_replay (
    webhook  uuid   not null primary key,
    position bigint not null,
    until    bigint not null,
    round    bigint not null
);

comment on column slotbook.webhook_replay.position is 'every event up to here is among the deliveries';
