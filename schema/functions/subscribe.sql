-- What POST /v1/subscriptions refuses is refused here too, with the exception of addresses and ports, which only the
-- service can check. Fields that are not here are set by PATCH /v1/subscriptions/{id}.
create or replace function posthorn.subscribe(
  -- Null: the receiver pulls its webhooks (docs/pull.md).
  url text,
  -- Null: all types.
  event_types text[] default null,
  tenant text default 'default',
  channels text[] default null,
  filter jsonpath default null,
  -- Null: a secret is generated.
  secret text default null,
  headers jsonb default null,
  ordering text default 'none',
  retry_schedule text default null,
  timeout interval default null,
  max_in_flight integer default null,
  -- Requests in the time of rate_limit_per.
  rate_limit integer default null,
  rate_limit_per interval default null,
  description text default null,
  metadata jsonb default null
) returns integer
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  timeout_ms constant bigint := round(extract(epoch from timeout) * 1000);
  per_ms constant bigint := round(extract(epoch from case when rate_limit is not null
    then coalesce(rate_limit_per, interval '1 second') else rate_limit_per end) * 1000);
  field text;
  problem text;
  id integer;
begin
  if subscribe.tenant is null then
    raise exception 'the tenant is null' using errcode = 'null_value_not_allowed',
      hint = 'Leave the tenant out to use the tenant named default.';
  end if;
  -- First, so that a role learns nothing about other tenants.
  perform posthorn.require_right('manage', tenant);
  perform posthorn.require_tenant(tenant);
  select checked.field, checked.problem
  from (values
    (1, 'url', case when url is not null then posthorn.url_problem(url) end),
    (2, 'event_types', posthorn.event_types_problem(event_types)),
    (3, 'channels', case
      when array_ndims(channels) > 1 or cardinality(channels) not between 1 and 20 then 'give 1 to 20 channels, or null'
      when exists (select from unnest(channels) as c where c is null or length(c) > 128 or c !~ '^[A-Za-z0-9_.:-]+$')
        then 'a channel has letters, digits, _ . : and -, and 128 characters at most' end),
    (4, 'filter', posthorn.filter_problem(filter)),
    (5, 'secret', posthorn.secret_problem(secret)),
    (6, 'headers', posthorn.headers_problem(headers)),
    (7, 'ordering', case when ordering is null or ordering not in ('none', 'strict') then 'it is none or strict' end),
    (8, 'retry_schedule', posthorn.retry_schedule_problem(retry_schedule)),
    (9, 'timeout', case when timeout_ms not between 100 and 300000 then 'it is outside 100ms to 5m' end),
    (10, 'max_in_flight', case when max_in_flight not between 1 and 10000 then 'it is outside 1 to 10,000' end),
    (11, 'rate_limit', case when rate_limit not between 1 and 1000000 then 'it is outside 1 to 1,000,000'
      when rate_limit is null and rate_limit_per is not null then 'it is missing, and rate_limit_per is given' end),
    (12, 'rate_limit_per', case when per_ms not between 100 and 86400000 then 'it is outside 100ms to 1d' end),
    (13, 'description', case when length(description) > 1000 then 'it has more than 1,000 characters' end),
    (14, 'metadata', case
      when jsonb_typeof(metadata) <> 'object' then 'it is not a JSON object'
      when exists (select from jsonb_each(case jsonb_typeof(metadata) when 'object' then metadata end) as m
          where length(m.key) > 100 or jsonb_typeof(m.value) <> 'string' or length(m.value #>> '{}') > 1000)
        or (select count(*) from jsonb_object_keys(case jsonb_typeof(metadata) when 'object' then metadata end)) > 50
        then 'it has more than 50 texts of 1,000 characters, or a name of more than 100' end)
  ) as checked (place, field, problem)
  where checked.problem is not null
  order by place
  limit 1
  into field, problem;
  if found then
    raise exception '% cannot be used: %', field, problem
      using errcode = 'invalid_parameter_value',
        hint = 'docs/managing-from-sql.md has the arguments of posthorn.subscribe; docs/filters.md has the rules of filters.';
  end if;
  insert into posthorn.subscriptions (tenant, url, event_types, channels, filter, secret, headers, ordering, retry_schedule,
      timeout_ms, max_in_flight, rate_limit, rate_limit_per_ms, description, metadata)
    values (tenant, url, event_types, channels, filter, coalesce(secret, posthorn.generate_secret()), headers,
      ordering::posthorn.subscription_ordering, retry_schedule, timeout_ms, max_in_flight, rate_limit, per_ms,
      description, metadata)
    returning subscriptions.id into id;
  return id;
end
$$;
comment on function posthorn.subscribe is
  'Creates a subscription in the caller''s transaction, and returns its id. Raises an error with a hint if an argument is wrong.';
revoke execute on function posthorn.subscribe from public;
