-- Pictures, each once, by what they are. Which of them a practitioner has, if
-- any, the log says.
create table slotbook.picture (
    picture   text collate "C" not null primary key,
    bytes     bytea            not null,
    stored_at timestamptz      not null default now(),
    constraint picture_name check (picture = encode(sha256(bytes), 'hex'))
);

comment on table slotbook.picture is 'pictures to be shown, in JPEG';
comment on column slotbook.picture.picture is 'the SHA-256 of the bytes, in hexadecimal';
