create or replace function posthorn.forget_secrets() returns trigger
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  new.secret := null;
  new.retired_secrets := null;
  new.verify := null;
  new.verify_secret := null;
  return new;
end
$$;
comment on function posthorn.forget_secrets is
  'Trigger: deletes the secrets of a deleted subscription.';
revoke execute on function posthorn.forget_secrets from public;

create or replace trigger forget_secrets before update on posthorn.subscriptions
  for each row when (new.deleted_at is not null) execute function posthorn.forget_secrets();
