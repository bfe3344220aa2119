-- 0012: no tenant's filters or fan-out hold up another tenant's webhooks.
--
-- Why it looks like this:
-- * What a webhook costs Postgres is worked out before it is done: deliveries to store, and steps of
--   filters times elements of data. A tenant that needs more than a tenth of a second of a statement that
--   others share is told so (apart), and its webhooks are sent in statements of their own.
-- * A filter has only what is bounded by the size of the data and cannot raise an error. *Measured* on
--   Postgres 18, a step takes 0.06 to 0.2 µs for an element. Of methods, .type() and .size() are left.
-- Locks: functions only.

-- Filters ------------------------------------------------------------------------------------------

create or replace function posthorn.filter_shape(filter jsonpath) returns text
  language sql immutable strict parallel safe
  return regexp_replace(
    regexp_replace(
      regexp_replace(filter::text, '"(?:[^"\\]|\\.)*"', '""', 'g'),
      -- Which elements of an array: a number, a range, or all. More than one in a pair of brackets
      -- would multiply with those of the next.
      '\[(?:\*|(?:-?\d+|last(?: [-+] \d+)?)(?: to (?:-?\d+|last(?: [-+] \d+)?))?)\]',
      '[]', 'g'),
    -- A comparison with a value, on either side.
    ' (?:==|!=|<>|<=?|>=?) (?:-?[\d.]+(?:e[-+]?\d+)?|""|true|false|null)(?=\)| &&| \|\||$)'
    '|(?<=\(|&& |\|\| )(?:-?[\d.]+(?:e[-+]?\d+)?|""|true|false|null) (?:==|!=|<>|<=?|>=?) (?=[$@])',
    '~', 'g');
comment on function posthorn.filter_shape(jsonpath) is
  'A filter as Postgres writes it, with "" for each name and string, [] for each subscript, and ~ for each comparison with a value.';

create or replace function posthorn.filter_problem(filter jsonpath) returns text
  language plpgsql immutable strict parallel safe as $$
declare
  shape constant text := posthorn.filter_shape(filter);
  cost constant integer := posthorn.filter_cost(filter);
  brackets text[] := '{}';
  symbol text;
  method text;
begin
  if length(filter::text) > 1000 then
    return format('it is %s characters long; at most 1000 are allowed', length(filter::text));
  end if;
  if shape ~ '\*\*' then
    return 'it looks at all depths (**), which costs too much; name the way to the value';
  end if;
  if shape ~ 'like_regex' then
    return 'it has a regular expression (like_regex), which may cost too much; compare, or use starts with';
  end if;
  -- Of the others, some take as long as they like (.double() of 1e131071 is 131,072 digits), and some
  -- raise errors that no option of jsonb_path_exists keeps from the statement (.datetime() of a time
  -- with a zone).
  method := substring(shape from '\.(?!type\(\)|size\(\))(\w+)\(');
  if method is not null then
    return format('it has the method .%s(); of the methods, only .type() and .size() are allowed', method);
  end if;
  if shape ~ '\$""' then
    return 'it has a variable, and there are none; values stand in the filter itself';
  end if;
  if shape ~ '\[[^\]]' then
    return 'it has a subscript that is not one number, last, a range such as 0 to 2, or *';
  end if;
  if shape ~ ' (?:==|!=|<>|<=?|>=?) ' then
    return 'it compares with something other than a value; one side of a comparison is a number, a string, true, false or null';
  end if;
  if shape ~ ' [-+*/%] |[-+][$@(]' then
    return 'it calculates; compare what is in the data as it is';
  end if;
  -- The whole data, looked at once for each of its parts, would be its square.
  for symbol in select m[1] from regexp_matches(shape, '\?\(|[()$]', 'g') as m loop
    if symbol = '$' then
      if '?(' = any (brackets) then
        return 'it has $ within ?( ), which costs too much; there, begin with @';
      end if;
    elsif symbol = ')' then
      brackets := brackets[:cardinality(brackets) - 1];
    else
      brackets := brackets || symbol;
    end if;
  end loop;
  if not posthorn.is_predicate(filter) and shape !~ '\?\(' then
    return 'it compares nothing; write a comparison such as $.total > 100, or exists($.total)';
  end if;
  if cost > 12 then
    return format('it has %s steps; at most 12 are allowed: comparisons, [ ], .*, ?( ), exists, and methods', cost);
  end if;
  return null;
end
$$;

-- Intake -------------------------------------------------------------------------------------------

drop function posthorn.accept_group(bytea, integer[], integer[], text[], integer[], text[], text[], text[], text[], integer[], text[], bytea[], boolean);
drop function posthorn.accept(bytea, integer[], integer[], text[], integer[], text[], text[], text[], text[], integer[], text[], bytea[], boolean);

create function posthorn.accept(
  bodies bytea,
  starts integer[],
  lengths integer[],
  content_types text[],
  -- To this subscription alone; null: to all of the tenant that want it.
  subscription_ids integer[],
  tenants text[],
  event_types text[],
  -- Each the text of a text[], since the arrays of one parameter have one length; or null.
  channel_lists text[],
  ordering_keys text[],
  -- Where in the body the data that filters look at begin. 0: it is all data; otherwise it is an
  -- envelope, which ends one byte after them. Null: not known.
  data_starts integer[],
  -- Null: nobody has one. Those with the same key are one request.
  idempotency_keys text[],
  fingerprints bytea[],
  -- Whether to raise an error rather than to refuse one of them.
  all_or_none boolean,
  -- Whether all of them are one tenant's, and nobody else waits for this statement.
  apart boolean default false,
  out ids uuid[],
  out deliveries integer[],
  -- Null for all, or null for each that was accepted; replayed, in_flight, reused, filters_cost, or
  -- apart: it takes too long for a statement that it shares with others' webhooks.
  out outcomes text[]
) language plpgsql as $$
declare
  today constant date := (clock_timestamp() at time zone 'UTC')::date;
  -- Work is measured in steps of filters times elements of data, of which *measured* one takes 0.06 to
  -- 0.2 µs. For one webhook that is half a second of a core where nothing matches.
  max_filter_work constant bigint := 4 * 1024 * 1024;
  max_filter_work_of_all constant bigint := 4 * max_filter_work;
  -- For a subscription that gets it: 20 µs, most of it for storing what is owed.
  work_of_delivery constant bigint := 128;
  -- Of one tenant in a statement: a tenth of a second where others share it, else half a second.
  max_work constant bigint := case when apart then 4 else 1 end * 512 * 1024;
  jobs graphile_worker.job_spec[];
  backlogs integer[];
  refused_ids uuid[];
  refused_outcomes text[];
  filter_work_of_all bigint;
  given_ids uuid[];
  earlier_ids uuid[];
  earlier_deliveries integer[];
begin
  -- Ids made while midnight passes belong to tomorrow.
  perform posthorn.ensure_partitions(today, ((clock_timestamp() + interval '1 minute') at time zone 'UTC')::date);

  if idempotency_keys is not null then
    select k.outcomes, k.ids, k.deliveries from posthorn.judge_keys(tenants, idempotency_keys, fingerprints) k
      into outcomes, earlier_ids, earlier_deliveries;
  end if;

  with given as materialized (
    select posthorn.uuidv7() as id, g.*
    from unnest(starts, lengths, content_types, subscription_ids, tenants, event_types, channel_lists,
        ordering_keys, data_starts, outcomes)
      with ordinality as g (
        start, length, content_type, subscription_id, tenant, event_type, channels, ordering_key,
        data_start, outcome, place)
  ), live as materialized (
    select g.id, g.start, g.length, g.content_type, g.subscription_id, g.event_type,
      g.channels::text[] as channels, g.ordering_key, g.data_start, g.place,
      coalesce(s.tenant, g.tenant) as tenant,
      s.through_backlog, s.status = 'active' and not s.circuit_open as moving
    from given g
    left join posthorn.subscriptions s on s.id = g.subscription_id and s.deleted_at is null
    where (g.subscription_id is null or s.id is not null) and g.outcome is null
  ), candidates as materialized (
    select live.id, live.tenant, s.id as subscription_id, live.length, live.place,
      s.through_backlog, s.status = 'active' and not s.circuit_open as moving,
      live.start, live.data_start, live.event_type, s.filter_test, s.filter_cost
    from (
      select *, posthorn.event_type_patterns(event_type) as patterns
      from live
      where subscription_id is null
      offset 0
    ) as live
    join posthorn.subscriptions s on s.tenant = live.tenant and s.deleted_at is null
      and s.status <> 'disabled'
      and (s.event_types && live.patterns or s.event_types is null and '*' = any (live.patterns))
      and (s.channels is null or s.channels && live.channels)
  ), worked as materialized (
    -- An element takes two bytes or more, so where there are few they need not be counted.
    select id, place, tenant, count(*) * work_of_delivery as delivery_work, length / 8 as reading_work,
      sum(filter_cost) * case when sum(filter_cost) * length / 2 > 4096
        then posthorn.json_elements(substring(bodies from start + 1 for length))
        else length / 2 end as filter_work
    from candidates
    group by id, place, tenant, start, length
  ), judged as materialized (
    select id, filter_work,
      case
        when filter_work > max_filter_work then 'filters_cost'
        when all_or_none then null
        -- Apart, the first goes whatever it takes: fan-out has no limit.
        when work_so_far - case when apart then work else 0 end > max_work then 'apart'
      end as outcome
    from (
      select *, sum(work) over (partition by tenant order by place) as work_so_far
      from (
        select *, delivery_work + case when filter_work is null then 0 else reading_work + filter_work end as work
        from worked
      ) as w
    ) as w
  ), refused as materialized (
    select coalesce(array_agg(id), '{}') as webhooks, array_agg(outcome) as outcomes
    from judged
    where outcome is not null
  ), filtering as materialized (
    -- A row a webhook that somebody filters: its data are read once for all of them.
    select id, place, length, start, data_start, event_type,
      array_agg(subscription_id) as subscription_ids, array_agg(filter_test) as tests,
      array_agg(through_backlog) as through_backlogs, array_agg(moving) as movings
    from candidates
    where filter_test is not null and id <> all ((select webhooks from refused)::uuid[])
    group by id, place, length, start, data_start, event_type
  ), payloads as (
    insert into posthorn.webhook_payloads (id, tenant, event_type, content_type, body, channels, ordering_key)
    select id, tenant, event_type, content_type, substring(bodies from start + 1 for length), channels, ordering_key
    from live
    where id <> all ((select webhooks from refused)::uuid[])
  ), wanted as materialized (
    select id, subscription_id, length, place, through_backlog, moving
    from live where subscription_id is not null
    union all
    select id, subscription_id, length, place, through_backlog, moving
    from candidates
    where filter_test is null and id <> all ((select webhooks from refused)::uuid[])
    union all
    select f.id, s.subscription_id, f.length, f.place, s.through_backlog, s.moving
    from filtering f
    cross join lateral (
      select case
        when f.data_start is null then
          posthorn.data_of(substring(bodies from f.start + 1 for f.length), f.event_type)
        else posthorn.try_jsonb(substring(bodies from f.start + f.data_start + 1
          for f.length - f.data_start - case f.data_start when 0 then 0 else 1 end))
      end as data
      offset 0
    ) as d
    cross join lateral unnest(f.subscription_ids, f.tests, f.through_backlogs, f.movings)
      as s (subscription_id, test, through_backlog, moving)
    where jsonb_path_exists(d.data, s.test, '{}', true)
  ), owed as (
    insert into posthorn.deliveries (webhook_id, subscription_id, state, queued)
    select id, subscription_id,
      case when through_backlog then 'held' else 'pending' end::posthorn.delivery_state,
      not through_backlog
    from wanted
  ), wake_ups as (
    select json_build_object(
        'attempt', 1,
        'bytes', sum(length),
        'webhooks', json_agg(id order by place),
        'subscriptions', json_agg(subscription_id order by place)
      ) as payload
    from (
      select *, (row_number() over (order by place) - 1)
        / least(25, greatest(1, count(*) over () / 3)) as job
      from wanted
      where not through_backlog
    ) as numbered
    group by job
  ), counted as (
    select place, count(*) as number from wanted group by place
  )
  select
    array_agg(live.id order by given.place),
    array_agg(coalesce(counted.number, 0) order by given.place),
    (select array_agg(('deliver', payload, null, null, 32767, null, null, null)::graphile_worker.job_spec)
      from wake_ups),
    (select array_agg(distinct subscription_id) from wanted where through_backlog and moving),
    (select webhooks from refused),
    (select refused.outcomes from refused),
    (select sum(filter_work) from judged)
  from given
  left join live using (place)
  left join counted using (place)
  into given_ids, deliveries, jobs, backlogs, refused_ids, refused_outcomes, filter_work_of_all;
  ids := given_ids;

  if all_or_none and (refused_ids <> '{}' or filter_work_of_all > max_filter_work_of_all) then
    raise exception 'the filters of the subscriptions for these webhooks would take too long'
      using errcode = 'program_limit_exceeded',
        detail = 'Steps of filters times elements of data may be 4 Mi for one webhook, and 16 Mi for all that are sent together.',
        hint = 'Send less data, or less at once, or have fewer or shorter filters: docs/filters.md.';
  end if;
  if refused_ids <> '{}' then
    select
      array_agg(coalesce(r.outcome, u.outcome) order by place),
      array_agg(case when r.id is null then u.id end order by place)
    from unnest(given_ids, outcomes) with ordinality as u (id, outcome, place)
    left join unnest(refused_ids, refused_outcomes) as r (id, outcome) on r.id = u.id
    into outcomes, ids;
  end if;

  if idempotency_keys is not null then
    perform posthorn.keep_keys(tenants, idempotency_keys, fingerprints, outcomes, ids, accept.deliveries);
    select
      array_agg(case outcome when 'replayed' then earlier_id else id end order by place),
      array_agg(case outcome when 'replayed' then earlier_number else number end order by place)
    from unnest(ids, accept.deliveries, outcomes, earlier_ids, earlier_deliveries)
      with ordinality as u (id, number, outcome, earlier_id, earlier_number, place)
    into ids, deliveries;
  end if;

  if jobs is not null then
    perform posthorn.add_deliver_jobs(jobs, (select sum(d) from unnest(deliveries) as d)::integer);
  end if;
  if backlogs is not null then
    -- A notification holds 8,000 bytes; and each waits for the same lock of all of Postgres at commit.
    perform pg_notify('posthorn_backlogs', string_agg(id::text, ','))
    from unnest(backlogs) with ordinality as b (id, place)
    group by place / 500;
  end if;
end
$$;
comment on function posthorn.accept(bytea, integer[], integer[], text[], integer[], text[], text[], text[], text[], integer[], text[], bytea[], boolean, boolean) is
  'Stores webhooks, what is owed for them and the jobs that wake the workers. Returns their ids in the order given, null where the subscription does not exist or the outcome says why, and how many deliveries each has.';
revoke execute on function posthorn.accept(bytea, integer[], integer[], text[], integer[], text[], text[], text[], text[], integer[], text[], bytea[], boolean, boolean) from public;

create function posthorn.accept_group(
  bodies bytea,
  starts integer[],
  lengths integer[],
  content_types text[],
  subscription_ids integer[],
  tenants text[],
  event_types text[],
  channel_lists text[],
  ordering_keys text[],
  data_starts integer[],
  idempotency_keys text[],
  fingerprints bytea[],
  all_or_none boolean,
  apart boolean,
  out ids uuid[],
  out deliveries integer[],
  out outcomes text[]
) language plpgsql as $$
declare
  today constant date := (clock_timestamp() at time zone 'UTC')::date;
  -- Ids made while midnight passes belong to it.
  soon constant date := ((clock_timestamp() + interval '1 minute') at time zone 'UTC')::date;
  many constant integer := coalesce(cardinality(subscription_ids), 0);
  simple boolean;
  owners text[];
  per_job integer;
  jobs graphile_worker.job_spec[];
begin
  if idempotency_keys is null and array_position(subscription_ids, null) is null then
    select array_agg(g.id order by g.place), array_agg(s.tenant order by g.place),
      count(*) = many and not bool_or(s.through_backlog)
    from (
      select posthorn.uuidv7() as id, u.subscription_id, u.place
      from unnest(subscription_ids) with ordinality as u (subscription_id, place)
      offset 0
    ) as g
    join posthorn.subscriptions s on s.id = g.subscription_id and s.deleted_at is null
    into ids, owners, simple;
    if simple then
      -- What ensure_partitions looks at first, which costs more to call than to look at.
      if soon <> today or to_regclass('posthorn.delivery_attempts_' || to_char(today, 'YYYYMMDD')) is null then
        perform posthorn.ensure_partitions(today, soon);
      end if;
      insert into posthorn.webhook_payloads (id, tenant, event_type, content_type, body, channels, ordering_key)
      select g.id, g.tenant, g.event_type, g.content_type, substring(bodies from g.start + 1 for g.length),
        g.channels::text[], g.ordering_key
      from unnest(ids, owners, event_types, content_types, starts, lengths, channel_lists, ordering_keys)
        as g (id, tenant, event_type, content_type, start, length, channels, ordering_key);
      insert into posthorn.deliveries (webhook_id, subscription_id)
      select g.id, g.subscription_id from unnest(ids, subscription_ids) as g (id, subscription_id);
      per_job := least(25, greatest(1, many / 3));
      for nth in 1 .. many by per_job loop
        jobs := jobs || ('deliver', json_build_object(
            'attempt', 1,
            'bytes', starts[least(many, nth + per_job - 1)] + lengths[least(many, nth + per_job - 1)] - starts[nth],
            'webhooks', array_to_json(ids[nth : nth + per_job - 1]),
            'subscriptions', array_to_json(subscription_ids[nth : nth + per_job - 1])
          ), null, null, 32767, null, null, null)::graphile_worker.job_spec;
      end loop;
      perform posthorn.add_deliver_jobs(jobs, many);
      deliveries := array_fill(1, array[many]);
      return;
    end if;
  end if;

  select a.ids, a.deliveries, a.outcomes
  from posthorn.accept(bodies, starts, lengths, content_types, subscription_ids, tenants, event_types,
    channel_lists, ordering_keys, data_starts, idempotency_keys, fingerprints, all_or_none, apart) as a
  into ids, deliveries, outcomes;
end
$$;
comment on function posthorn.accept_group(bytea, integer[], integer[], text[], integer[], text[], text[], text[], text[], integer[], text[], bytea[], boolean, boolean) is
  'What posthorn.accept does, and means by each parameter; quicker where all goes to given subscriptions that want it now.';
revoke execute on function posthorn.accept_group(bytea, integer[], integer[], text[], integer[], text[], text[], text[], text[], integer[], text[], bytea[], boolean, boolean) from public;
