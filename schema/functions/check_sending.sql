-- A statement costs plpgsql 12 to 16 µs, an expression 1 µs (*measured*), so one statement reads all that the
-- checks of most webhooks need, and the others are expressions.
create or replace function posthorn.check_sending(
  event_types text[],
  tenant text,
  channels text[],
  ordering_keys text[],
  idempotency_key text,
  subscription_id integer
) returns bigint
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  bad text;
  max_body_bytes bigint;
  is_limited boolean;
  is_known boolean;
  is_strict boolean;
begin
  -- Applications cannot turn off the counting for bulk (add_deliver_jobs). Not as a setting of their functions:
  -- only a superuser may create a function that sets a name of ours.
  bad := set_config('posthorn.bulk', '', true);
  if check_sending.tenant is null then
    raise exception 'the tenant is null' using errcode = 'null_value_not_allowed',
      hint = 'Leave the tenant out to use the tenant named default.';
  end if;
  select l.max_body_bytes,
      exists (select from posthorn.rights r where r.may = 'send' and r.tenants is not null),
      t.id is not null, t.strict_event_types
    from posthorn.limits l
    left join posthorn.tenants t on t.id = check_sending.tenant and t.deleted_at is null
    into max_body_bytes, is_limited, is_known, is_strict;
  -- First, so that a role learns nothing about other tenants.
  if is_limited then
    perform posthorn.require_sender(check_sending.tenant);
  end if;
  if is_known is not true then
    perform posthorn.require_tenant(check_sending.tenant);
  end if;
  foreach bad in array coalesce(event_types, '{}') loop
    -- The length is checked first, so that no pattern reads megabytes.
    if bad is null or length(bad) > 128 or bad !~ '^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$' then
      raise exception '% is not an event type', coalesce('"' || left(bad, 200) || '"', 'null')
        using errcode = 'invalid_parameter_value',
          hint = 'Write words of letters, digits, _ and - with dots between them, such as order.created; 128 characters at most.';
    end if;
    if bad like 'posthorn.%' then
      raise exception 'event types that begin with "posthorn." are sent by Posthorn alone: "%"', bad
        using errcode = 'reserved_name', hint = 'Choose another first word.';
    end if;
  end loop;
  if is_strict then
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
  foreach bad in array coalesce(channels, '{}') loop
    if bad is null or length(bad) > 128 or bad !~ '^[A-Za-z0-9_.:-]+$' then
      raise exception '% is not a channel', coalesce('"' || left(bad, 200) || '"', 'null')
        using errcode = 'invalid_parameter_value',
          hint = 'Write letters, digits, _ . : and -, such as project-42; 128 characters at most.';
    end if;
  end loop;
  foreach bad in array coalesce(ordering_keys, '{}') loop
    if bad = '' or length(bad) > 256 then
      raise exception 'an ordering key is empty or too long'
        using errcode = 'invalid_parameter_value', hint = 'Give 1 to 256 characters, or null for none.';
    end if;
  end loop;
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
    if (select s.format from posthorn.subscriptions s where s.id = check_sending.subscription_id) = 'notice' then
      raise exception 'the subscription % gets notices of Posthorn only', subscription_id
        using errcode = 'object_not_in_prerequisite_state', hint = 'Send to another subscription.';
    end if;
  end if;
  return max_body_bytes;
end
$$;
comment on function posthorn.check_sending is
  'Checks the arguments of posthorn.send_many, and returns the size that a body may have. Raises an error with a hint if an argument is wrong.';
revoke execute on function posthorn.check_sending from public;
