
-- The position of the last event that was recorded at or before an instant, 0
-- before the first: positions are indexed, and times grow along them.
create or replace function analytics.position_at(at timestamptz) returns bigint
language plpgsql stable strict security definer set search_path = pg_catalog as $$
declare
    low bigint := 0;
    high bigint := coalesce((select max(position) from slotbook.events), 0);
    middle bigint;
    there bigint;
    recorded timestamptz;
begin
    while low < high loop
        middle := low + (high - low + 1) / 2;
        select e.position, e.recorded_at into there, recorded
        from slotbook.events e where e.position <= middle order by e.position desc limit 1;
        if there is null or there <= low then
            low := middle;
        elsif recorded <= at then
            low := middle;
        else
            high := there - 1;
        end if;
    end loop;
    return coalesce((select max(position) from slotbook.events where position <= low), 0);
end
$$;
revoke execute on function analytics.position_at(timestamptz) from public;

-- One row for each appointment that was ever requested or booked, as it is now.
create or replace view analytics.appointments with (security_barrier) as
with happened as (
    select e.stream, e.position, e.recorded_at, e.type, d.patient, d.practitioner, d.clinic, d."visitType" as visit_type, d.slots, d.start, d."end",
        d.overbooked, d.set, d.initiator, d.code, d.status, d.at
    from slotbook.events e
    cross join lateral json_to_record(e.data) as d (
        patient text, practitioner text, clinic text, "visitType" text, slots text[], start timestamptz, "end" timestamptz, overbooked boolean,
        set bigint, initiator text, code text, status text, at timestamptz
    )
    where e.stream >= 'appointment-' and e.stream < 'appointment.'
        and e.type not in ('appointment.held', 'appointment.renewed')
    union all
    select 'appointment-' || v.appointment, e.position, e.recorded_at, e.type, null, null, null, null, null, null, null, null, v.set, null, null, null, null
    from slotbook.events e
    cross join lateral json_to_recordset(e.data -> 'visits') as v (appointment text, set bigint)
    where e.type = 'series.booked' and e.stream >= 'series-' and e.stream < 'series.'
), turns as (
    select h.*,
        max(h.position) filter (where h.type in ('appointment.requested', 'appointment.booked', 'series.booked', 'appointment.cancelled')) over stream as turn,
        max(h.position) filter (where h.type in ('appointment.booked', 'series.booked')) over stream as last_booked,
        min(h.position) filter (where h.type in ('appointment.booked', 'series.booked')) over stream as first_booked,
        max(h.position) filter (where h.type = 'appointment.reverted' and h.status = 'booked') over stream as not_arrived,
        max(h.position) filter (where h.type = 'appointment.reverted' and h.status in ('booked', 'arrived')) over stream as not_started,
        max(h.position) filter (where h.type = 'appointment.reverted' and h.status in ('booked', 'arrived', 'checked-in')) over stream as not_finished
    from happened h
    window stream as (partition by h.stream)
), numbered as (
    select t.*,
        max(t.set) filter (where t.position = t.turn) over stream as turn_set,
        max(t.type) filter (where t.position = t.turn) over stream as turn_type,
        coalesce(t.last_booked, 0) as since
    from turns t
    where t.turn is not null
    window stream as (partition by t.stream)
), told as (
    select n.*, n.practitioner is not null and (n.position = n.turn or n.type in ('appointment.proposed', 'appointment.requested', 'appointment.booked')
        and n.set = n.turn_set) as tells
    from numbered n
), folded as (
    select t.stream,
        min(t.turn_type) as turn_type,
        (array_agg(t.patient order by t.position desc) filter (where t.tells))[1] as patient,
        (array_agg(t.practitioner order by t.position desc) filter (where t.tells))[1] as practitioner,
        (array_agg(t.clinic order by t.position desc) filter (where t.tells))[1] as clinic,
        (array_agg(t.visit_type order by t.position desc) filter (where t.tells))[1] as visit_type,
        (array_agg(to_json(t.slots) order by t.position desc) filter (where t.tells))[1] as slots,
        (array_agg(t.start order by t.position desc) filter (where t.tells))[1] as start,
        (array_agg(t."end" order by t.position desc) filter (where t.tells))[1] as "end",
        (array_agg(t.overbooked order by t.position desc) filter (where t.tells))[1] as overbooked,
        (array_agg(t.recorded_at order by t.position desc) filter (where t.type = 'appointment.requested'))[1] as requested_at,
        min(t.recorded_at) filter (where t.type in ('appointment.booked', 'series.booked') and t.set = t.turn_set) as turn_booked_at,
        max(t.recorded_at) filter (where t.position = t.last_booked) as last_booked_at,
        bool_or(t.position > t.turn and t.set = t.turn_set and t.type in ('appointment.declined', 'appointment.lapsed', 'appointment.released', 'appointment.refused')) as ended,
        (array_agg(t.recorded_at order by t.position desc) filter (where t.position > t.turn and t.set = t.turn_set
            and t.type in ('appointment.declined', 'appointment.lapsed', 'appointment.released', 'appointment.refused')))[1] as ended_at,
        bool_or(t.position > t.turn and t.set = t.turn_set and t.type = 'appointment.declined') as declined,
        (array_agg(t.code order by t.position desc) filter (where t.position > t.turn and t.type = 'appointment.declined'))[1] as declined_code,
        max(t.recorded_at) filter (where t.position = t.turn and t.type = 'appointment.cancelled') as cancelled_at,
        max(t.initiator) filter (where t.position = t.turn) as initiator,
        max(t.code) filter (where t.position = t.turn and t.type = 'appointment.cancelled') as code,
        (array_agg(case t.type
            when 'appointment.arrived' then 'arrived'
            when 'appointment.checked-in' then 'checked-in'
            when 'appointment.fulfilled' then 'fulfilled'
            when 'appointment.missed' then 'noshow'
            else t.status end order by t.position desc) filter (where t.position > t.since and t.type in (
                'appointment.arrived', 'appointment.checked-in', 'appointment.fulfilled', 'appointment.missed', 'appointment.reverted')))[1] as lived,
        max(t.at) filter (where t.type = 'appointment.arrived' and t.position > greatest(t.since, t.not_arrived)) as arrived_at,
        max(t.at) filter (where t.type = 'appointment.checked-in' and t.position > greatest(t.since, t.not_started)) as started_at,
        max(t.at) filter (where t.type = 'appointment.fulfilled' and t.position > greatest(t.since, t.not_finished)) as finished_at,
        count(distinct t.set) filter (where t.type in ('appointment.booked', 'series.booked')) as sets_booked,
        count(*) filter (where t.type = 'appointment.cancelled' and t.position > t.first_booked and t.position < t.last_booked) as undone
    from told t
    group by t.stream
), stood as (
    select f.*,
        case
            when f.turn_type = 'appointment.cancelled' then 'cancelled'
            when f.turn_type = 'appointment.requested' and f.ended then 'cancelled'
            when f.turn_type = 'appointment.requested' then 'pending'
            else coalesce(f.lived, 'booked')
        end as status
    from folded f
), calls as (
    select d.appointment, array_agg(d.at) as calls
    from slotbook.events e
    cross join lateral json_to_record(e.data) as d (appointment text, at timestamptz)
    where e.type = 'queue.called' and e.stream >= 'queue-' and e.stream < 'queue.' and d.appointment is not null
    group by d.appointment
), whole as (
    select s.*, substr(s.stream, length('appointment-') + 1) as appointment,
        coalesce(s.turn_booked_at, s.last_booked_at) as booked_at,
        (select min(c) from unnest(q.calls) as c where c >= s.arrived_at) as called_at
    from stood s
    left join calls q on q.appointment = substr(s.stream, length('appointment-') + 1)
)
select w.appointment, w.status,
    case
        when w.status in ('arrived', 'checked-in', 'fulfilled') then 'came'
        when w.status = 'noshow' then 'noshow'
        when w.status = 'cancelled' and w.turn_type = 'appointment.requested' then case when w.declined then 'declined' else 'lapsed' end
        when w.status = 'cancelled' then 'cancelled'
        else 'open'
    end as outcome,
    w.patient, w.practitioner, w.clinic, w.visit_type, array(select json_array_elements_text(w.slots)) as slots, w.start, w."end",
    coalesce(w.overbooked, false) as overbooked,
    greatest(w.sets_booked - 1 - w.undone, 0) as moves,
    w.requested_at, w.booked_at, coalesce(w.cancelled_at, w.ended_at) as cancelled_at, case when w.declined then 'practitioner' else w.initiator end as cancelled_by,
    coalesce(w.code, w.declined_code) as cancel_code,
    w.arrived_at, w.called_at, w.started_at, w.finished_at,
    case when w.status not in ('cancelled', 'pending') and w.booked_at is not null then greatest(w.start - w.booked_at, interval '0') end as lead_time,
    case when w.arrived_at is not null and least(w.called_at, w.started_at) is not null
        then greatest(least(w.called_at, w.started_at) - w.arrived_at, interval '0')
    end as wait,
    w.finished_at - w.started_at as duration
from whole w;

-- One row for each slot that was ever opened, as it is now.
create or replace view analytics.slots with (security_barrier) as
with told as (
    select e.stream,
        (array_agg(d.places order by e.position desc) filter (where d.places is not null))[1] as places,
        (array_agg(e.type = 'slot.withdrawn' order by e.position desc) filter (where e.type in ('slot.withdrawn', 'slot.reinstated')))[1] as withdrawn
    from slotbook.events e
    cross join lateral json_to_record(e.data) as d (places bigint)
    where e.stream >= 'slot-' and e.stream < 'slot.'
    group by e.stream
), taken as (
    select s.slot, count(*) as booked
    from analytics.appointments a
    cross join lateral unnest(a.slots) as s (slot)
    where a.status in ('booked', 'arrived', 'checked-in', 'fulfilled', 'noshow')
    group by s.slot
)
select s.id as slot, d.practitioner, s.clinic, s.start, s."end", e.recorded_at as opened_at, s.capacity, coalesce(t.places, s.capacity) as places,
    coalesce(t.withdrawn, false) as withdrawn, coalesce(b.booked, 0) as booked
from slotbook.events e
cross join lateral json_to_record(e.data) as d (practitioner text, slots json)
cross join lateral json_to_recordset(d.slots) as s (id text, clinic text, capacity bigint, start timestamptz, "end" timestamptz)
left join told t on t.stream = 'slot-' || s.id
left join taken b on b.slot = s.id
where e.type = 'schedule.day-opened' and e.stream >= 'schedule-' and e.stream < 'schedule.' and json_typeof(d.slots) = 'array';

-- One row for each cancellation of an appointment, also of one that was taken
-- back. rebooked says that a slot of it was booked by somebody else afterwards,
-- before it began.
create or replace view analytics.cancellations with (security_barrier) as
select e.position, e.recorded_at as cancelled_at, d.appointment, d.patient, d.practitioner, d.clinic, d."visitType" as visit_type, d.slots, d.start,
    d."end", d.initiator as cancelled_by, d.code as cancel_code, d.start - e.recorded_at as notice,
    exists (
        select from slotbook.events b
        where b.stream = e.stream and b.revision < e.revision and b.type = 'appointment.booked'
    ) as was_booked,
    exists (
        select from unnest(d.slots) as s (slot)
        join slotbook.events b on b.stream = 'slot-' || s.slot
        where b.type = 'slot.booked' and b.position > e.position and b.recorded_at < d.start and b.data ->> 'appointment' <> d.appointment
    ) as rebooked
from slotbook.events e
cross join lateral json_to_record(e.data) as d (
    appointment text, patient text, practitioner text, clinic text, "visitType" text, slots text[], start timestamptz, "end" timestamptz,
    initiator text, code text
)
where e.type = 'appointment.cancelled' and e.stream >= 'appointment-' and e.stream < 'appointment.';
