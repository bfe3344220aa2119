-- The function runs with the rights of its owner, so an application needs only the right to call it.
--
-- An application sends most webhooks one by one, each in its transaction. plpgsql then prepares each expression again,
-- at 0.3 to 3 µs, and a statement costs 12 to 18 µs beside its rows. So one statement reads what the checks of an
-- ordinary webhook need together with its subscriptions, and one stores it. Whatever is not ordinary, and
-- whatever might be wrong, goes to posthorn.send_many, which checks it again and words the errors.
create or replace function posthorn.send(
  event_type text,
  data jsonb,
  tenant text default 'default',
  channels text[] default null,
  ordering_key text default null,
  idempotency_key text default null,
  subscription_id integer default null,
  deliver_at timestamptz default null,
  headers jsonb default null
) returns uuid
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
  set default_tablespace = '' set default_table_access_method = heap
  -- For posthorn.list_matching_subscriptions.
  set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  written text;
  ignored text;
  subscriptions integer[];
  -- The filter of each subscription, or null; null if there is none at all.
  tests jsonpath[];
  is_ordinary boolean;
begin
  written := coalesce(data::text, 'null');
  -- The lengths are checked first, so that no pattern reads megabytes.
  if idempotency_key is null and headers is null and deliver_at is null
    and length(event_type) <= 128 and event_type ~ '^(?!posthorn[.])[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$'
    and (channels is null or cardinality(channels) <= 20 and length(array_to_string(channels, ',', '')) <= 20 * 129
      and array_to_string(channels, ',', '') ~ '^[A-Za-z0-9_.:-]{1,128}(,[A-Za-z0-9_.:-]{1,128})*$'
      and cardinality(string_to_array(array_to_string(channels, ',', ''), ',')) = cardinality(channels))
    and (ordering_key is null or length(ordering_key) between 1 and 256) then
    select array_agg(s.id),
        case when count(s.filter_test) > 0 and send.subscription_id is null then array_agg(s.filter_test) end,
        -- In UTF-8 the body has at most four times these bytes. The head has fewer than 1,024.
        octet_length(written) < ((select l.max_body_bytes from posthorn.limits l) - 1024) / 4
        and not exists (select from posthorn.rights r where r.may = 'send' and r.tenants is not null)
        and (select not t.strict_event_types from posthorn.tenants t where t.id = send.tenant and t.deleted_at is null)
        and count(*) <= 500 and bool_or(s.through_backlog) is not true
        and (send.subscription_id is null and (sum(s.filter_cost) * octet_length(written) / 2 > 64 * 1024) is not true
          or send.subscription_id is not null and count(*) = 1)
      from posthorn.subscriptions s
      -- `any` of an array finds each subscription once, however often it is in it.
      where s.id = any (case when send.subscription_id is not null then array[send.subscription_id] else array(
          select m.id from posthorn.list_matching_subscriptions(send.tenant, send.event_type, send.channels) as m (id)) end)
        and s.tenant = send.tenant and s.deleted_at is null
        and (send.subscription_id is not null or s.status <> 'disabled')
      into subscriptions, tests, is_ordinary;
    if is_ordinary then
      if tests is not null then
        subscriptions := (
          select array_agg(o.subscription_id order by o.nth)
          from unnest(subscriptions, tests) with ordinality as o (subscription_id, test, nth)
          where o.test is null or jsonb_path_exists(coalesce(data, 'null'), o.test, '{}', true));
      end if;
      -- As in posthorn.check_sending.
      ignored := set_config('posthorn.bulk', '', true);
      return posthorn.store_webhook(posthorn.webhook_head(event_type) || convert_to(written || '}', 'UTF8'),
        'application/json', tenant, event_type, channels, ordering_key, null, subscriptions);
    end if;
  end if;
  return (posthorn.send_many(array[event_type], array[data], tenant, channels, ordering_keys => case
      when ordering_key is not null then array[ordering_key] end, idempotency_key => idempotency_key,
    subscription_id => subscription_id, deliver_at => deliver_at, headers => headers))[1];
end
$$;
comment on function posthorn.send is
  'Sends a webhook to all matching subscriptions of the tenant, or to one subscription, in the caller''s transaction. Returns the id of the webhook.';
revoke execute on function posthorn.send from public;
