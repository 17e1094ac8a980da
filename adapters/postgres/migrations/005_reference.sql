-- What authorities say, loaded from their files: specialties, qualifications,
-- towns and districts. A code that its file no longer has is withdrawn and
-- never deleted, since profiles may name it.
create table slotbook.reference (
    kind         text collate "C" not null,
    code         text collate "C" not null,
    names        jsonb            not null,
    country      text collate "C",
    town         text collate "C",
    latitude     double precision,
    longitude    double precision,
    withdrawn_at timestamptz,
    constraint reference_code primary key (kind, code)
);

comment on table slotbook.reference is 'what authorities say; slotbook reference load writes it';
comment on column slotbook.reference.names is 'by language: en always, ko, pt and ru perhaps';
comment on column slotbook.reference.town is 'the code of a district''s town';
