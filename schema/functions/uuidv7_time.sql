create or replace function posthorn.uuidv7_time(id uuid) returns timestamptz
  language sql immutable strict parallel safe
  return to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0);
comment on function posthorn.uuidv7_time is
  'The time in a UUIDv7, in whole milliseconds.';
