-- A time that 48 bits of milliseconds cannot hold becomes the nearest time that they can hold.
create or replace function posthorn.uuidv7_floor(at timestamptz) returns uuid
  language sql immutable strict parallel safe
  return (
    lpad(to_hex(
      least(greatest(floor(extract(epoch from at) * 1000), 0), 281474976710655)::bigint
    ), 12, '0') || repeat('0', 20)
  )::uuid;
comment on function posthorn.uuidv7_floor is
  'The smallest UUID of that millisecond, for ranges of UUIDv7 ids by time. Before 1970 it is the smallest UUID.';
