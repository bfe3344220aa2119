create or replace function posthorn.check_sending(
  event_types text[],
  tenant text,
  channels text[],
  ordering_keys text[],
  idempotency_key text,
  subscription_id integer
) returns void
  language plpgsql stable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  bad text;
begin
  if check_sending.tenant is null then
    raise exception 'the tenant is null' using errcode = 'null_value_not_allowed',
      hint = 'Leave the tenant out to use the tenant named default.';
  end if;
  -- First, so that a role learns nothing about other tenants.
  perform posthorn.require_sender(check_sending.tenant);
  perform posthorn.require_tenant(check_sending.tenant);
  -- Lengths are checked first, so that no pattern reads megabytes.
  select t from unnest(event_types) as t
    where t is null or length(t) > 128 or t !~ '^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$'
    limit 1
    into bad;
  if found then
    raise exception '% is not an event type', coalesce('"' || left(bad, 200) || '"', 'null')
      using errcode = 'invalid_parameter_value',
        hint = 'Write words of letters, digits, _ and - with dots between them, such as order.created; 128 characters at most.';
  end if;
  select t from unnest(event_types) as t where t like 'posthorn.%' limit 1 into bad;
  if found then
    raise exception 'event types that begin with "posthorn." are sent by Posthorn alone: "%"', bad
      using errcode = 'reserved_name', hint = 'Choose another first word.';
  end if;
  perform from posthorn.tenants t where t.id = check_sending.tenant and t.strict_event_types;
  if found then
    select t from unnest(event_types) as t
      where not exists (
        select from posthorn.event_types e
        where e.tenant = check_sending.tenant and e.name = t and e.archived_at is null)
      limit 1
      into bad;
    if found then
      raise exception 'the event type "%" is not registered, or is archived, and the tenant accepts only registered types', bad
        using errcode = 'invalid_parameter_value', hint = 'Register it by POST /v1/event-types.';
    end if;
  end if;
  if cardinality(channels) not between 1 and 20 then
    raise exception 'there are % channels', cardinality(channels)
      using errcode = 'invalid_parameter_value', hint = 'Give 1 to 20 channels, or null for none.';
  end if;
  select c from unnest(channels) as c
    where c is null or length(c) > 128 or c !~ '^[A-Za-z0-9_.:-]+$'
    limit 1
    into bad;
  if found then
    raise exception '% is not a channel', coalesce('"' || left(bad, 200) || '"', 'null')
      using errcode = 'invalid_parameter_value',
        hint = 'Write letters, digits, _ . : and -, such as project-42; 128 characters at most.';
  end if;
  perform from unnest(ordering_keys) as k where k = '' or length(k) > 256 limit 1;
  if found then
    raise exception 'an ordering key is empty or too long'
      using errcode = 'invalid_parameter_value', hint = 'Give 1 to 256 characters, or null for none.';
  end if;
  if length(idempotency_key) > 255 or idempotency_key !~ '^[ -~]+$' then
    raise exception 'the idempotency key is empty, too long, or not printable ASCII'
      using errcode = 'invalid_parameter_value', hint = 'Give 1 to 255 printable ASCII characters, such as a UUID.';
  end if;
  if check_sending.subscription_id is not null then
    perform from posthorn.subscriptions s
      where s.id = check_sending.subscription_id and s.tenant = check_sending.tenant and s.deleted_at is null;
    if not found then
      raise exception 'the tenant "%" has no subscription %', tenant, subscription_id
        using errcode = 'foreign_key_violation', hint = 'Leave the subscription out to send to all matching subscriptions.';
    end if;
  end if;
end
$$;
comment on function posthorn.check_sending is
  'Checks the arguments of posthorn.send_many. Raises an error with a hint if an argument is wrong.';
revoke execute on function posthorn.check_sending from public;
