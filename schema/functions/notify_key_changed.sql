-- The notification carries the hash, which reveals nothing of the key.
create or replace function posthorn.notify_key_changed() returns trigger
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_notify('posthorn_keys', encode(coalesce(new.hash, old.hash), 'hex'));
  return null;
end
$$;
comment on function posthorn.notify_key_changed is
  'Trigger: every process drops the key from its cache.';
revoke execute on function posthorn.notify_key_changed from public;

create or replace trigger notify_changed
  after insert or delete or update of tenant, hash, scopes, expires_at, revoked_at on posthorn.keys
  for each row execute function posthorn.notify_key_changed();
