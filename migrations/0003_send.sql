-- 0003: sending from SQL, in the application's own transaction.
--
-- `posthorn.send` is the intake function with the envelope of Standard Webhooks around the data. It
-- runs with the rights of its owner, so an application needs nothing but the right to call it: the
-- role posthorn_sender has that one and no other.
-- Locks: only new objects; nothing that exists is touched.

create function posthorn.send_many(
  event_types text[],
  data jsonb[],
  tenant text default 'default'
) returns uuid[]
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  sent_at constant text := to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
  many constant integer := coalesce(cardinality(event_types), 0);
  bodies bytea[];
  lengths integer[];
  bad text;
begin
  if many <> coalesce(cardinality(data), 0) then
    raise exception 'there are % event types and % data', many, coalesce(cardinality(data), 0)
      using errcode = 'invalid_parameter_value', hint = 'Give one event type for each.';
  end if;
  if tenant is null then
    raise exception 'the tenant is null' using errcode = 'null_value_not_allowed',
      hint = 'Leave it out for the tenant named default.';
  end if;
  if many = 0 then
    return '{}';
  end if;
  select t from unnest(event_types) as t
    where t is null or t !~ '^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$' or length(t) > 128
    limit 1
    into bad;
  if found then
    raise exception '% is not an event type', coalesce('"' || bad || '"', 'null')
      using errcode = 'invalid_parameter_value',
        hint = 'Write words of letters, digits, _ and - with dots between them, such as order.created.';
  end if;

  select
    array_agg(body order by place),
    array_agg(octet_length(body) order by place)
  from (
    select g.place, convert_to(
      '{"type":' || to_jsonb(g.event_type)::text || ',"timestamp":"' || sent_at || '","data":'
        || coalesce(g.data::text, 'null') || '}', 'UTF8') as body
    from unnest(event_types, data) with ordinality as g (event_type, data, place)
  ) as wrapped
  into bodies, lengths;

  return (posthorn.accept(
    (select string_agg(b, ''::bytea order by place) from unnest(bodies) with ordinality as u (b, place)),
    (select array_agg((before - length)::integer order by place)
      from (
        select place, length, sum(length) over (order by place) as before
        from unnest(lengths) with ordinality as u (length, place)
      ) as running),
    lengths,
    array_fill('application/json'::text, array[many]),
    array_fill(null::integer, array[many]),
    array_fill(send_many.tenant, array[many]),
    event_types
  )).ids;
end
$$;
comment on function posthorn.send_many(text[], jsonb[], text) is
  'Sends webhooks to all of the tenant that want their types, as part of the transaction that calls it. Returns their ids in the order given.';

create function posthorn.send(event_type text, data jsonb, tenant text default 'default') returns uuid
  language sql security definer set search_path = pg_catalog, pg_temp
  return (posthorn.send_many(array[event_type], array[data], tenant))[1];
comment on function posthorn.send(text, jsonb, text) is
  'Sends a webhook to all of the tenant that want its type, as part of the transaction that calls it. Returns its id.';

revoke execute on function posthorn.send_many(text[], jsonb[], text), posthorn.send(text, jsonb, text) from public;

-- Roles belong to the whole server. Another database may have made it; and on a server where we may
-- make none, the right to send is granted by hand: to whom docs/sending-from-sql.md says.
do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'posthorn_sender') then
    create role posthorn_sender nologin;
  end if;
exception
  when insufficient_privilege or duplicate_object or unique_violation then null;
end
$$;
do $$
begin
  if exists (select from pg_catalog.pg_roles where rolname = 'posthorn_sender') then
    grant usage on schema posthorn to posthorn_sender;
    grant execute on function
      posthorn.send(text, jsonb, text), posthorn.send_many(text[], jsonb[], text) to posthorn_sender;
  end if;
end
$$;
