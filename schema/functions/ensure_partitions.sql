create or replace function posthorn.ensure_partitions(first_day date, last_day date) returns integer
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  history constant text[] := array['webhook_payloads', 'deliveries', 'delivery_attempts'];
  parent text;
  child text;
  day date := first_day;
  made integer := 0;
begin
  while day <= last_day loop
    if to_regclass(format('posthorn.%I', 'delivery_attempts_' || to_char(day, 'YYYYMMDD'))) is null then
      perform pg_advisory_xact_lock(1347637332, 0);
      foreach parent in array history loop
        child := parent || '_' || to_char(day, 'YYYYMMDD');
        if to_regclass(format('posthorn.%I', child)) is null then
          -- CREATE TABLE … PARTITION OF would lock the parent against every insert; ATTACH locks it only
          -- against other changes of its structure.
          execute format(
            'create table posthorn.%I (like posthorn.%I including defaults including constraints including storage)',
            child, parent);
          execute format(
            'alter table posthorn.%I attach partition posthorn.%I for values from (%L) to (%L)',
            parent, child,
            posthorn.uuidv7_floor(day::timestamp at time zone 'UTC'),
            posthorn.uuidv7_floor((day + 1)::timestamp at time zone 'UTC'));
          made := made + 1;
        end if;
      end loop;
    end if;
    day := day + 1;
  end loop;
  return made;
end
$$;
comment on function posthorn.ensure_partitions is
  'Creates the missing partitions of history for these days (UTC). Returns how many tables it created.';
