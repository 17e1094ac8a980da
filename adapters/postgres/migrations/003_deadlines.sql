-- Tries at what is due. The read model "due" says what is; a row here keeps two
-- processes from doing it at once, and what has failed from being tried at
-- once again. Losing this table loses nothing: every try is idempotent.
create table slotbook.deadline_attempt (
    deadline   text collate "C" not null primary key,
    kind       text collate "C" not null,
    owner      text collate "C" not null,
    due_at     timestamptz      not null,
    tries      bigint           not null,
    next_try   timestamptz      not null,
    outcome    text,
    settled_at timestamptz
) with (fillfactor = 70);

create index deadline_attempt_settled on slotbook.deadline_attempt (settled_at) where settled_at is not null;

comment on column slotbook.deadline_attempt.owner is 'the stream that decides';
comment on column slotbook.deadline_attempt.due_at is 'business time; the other times are those of the machines';
comment on column slotbook.deadline_attempt.next_try is 'nobody tries before; while somebody tries, until when it is left to that process';
comment on column slotbook.deadline_attempt.outcome is 'of the last try: done, the rule that refused it, or why it failed';
comment on column slotbook.deadline_attempt.settled_at is 'when nothing was left to do; such rows are dropped after a week';
