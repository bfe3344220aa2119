-- 0009: what sending can do: filters on content, idempotency keys, event types that are registered.
--
-- Why it looks like this:
-- * A filter is run in the statement that accepts everybody's webhooks, so it is judged where it is
--   stored, by a trigger: whoever writes it, its cost grows with the number of elements in the data
--   times the steps that it has, and never faster. What is tested there is the filter in a form that
--   finds something if it matches and nothing if it does not.
-- * An idempotency key is exact through its advisory lock: whoever has it reads and writes the key's
--   row, whoever does not get it at once is told so and waits for nobody. An application's open
--   transaction that has sent under a key therefore stops nobody's group. The rows lie in a partition
--   a day, dropped when its last one is a day old: a thousand keys a second are 86 million rows.
-- * posthorn.accept is here as a whole, with what 0004 brought.
-- Locks: columns without a default; new objects. posthorn.send and posthorn.send_many are replaced by
-- ones with more parameters, that have defaults: who calls them goes on, and who may keeps the right.
-- Processes of the version before call the function with seven parameters, which stays.

-- Filters ------------------------------------------------------------------------------------------

create function posthorn.filter_shape(filter jsonpath) returns text
  language sql immutable strict parallel safe
  return regexp_replace(
    regexp_replace(
      regexp_replace(filter::text, '"(?:[^"\\]|\\.)*"', '""', 'g'),
      -- Which elements of an array: a number, a range, or all. More than one in a pair of brackets
      -- would multiply with those of the next.
      '\[(?:\*|(?:-?\d+|last(?: [-+] \d+)?)(?: to (?:-?\d+|last(?: [-+] \d+)?))?)\]',
      '[]', 'g'),
    -- A comparison with a value, on either side.
    ' (?:==|!=|<>|<=?|>=?) (?:-?[\d.]+(?:e[-+]?\d+)?|""(?:\.\w+\((?:"")?\))?|true|false|null)(?=\)| &&| \|\||$)'
    '|(?<=\(|&& |\|\| )(?:-?[\d.]+(?:e[-+]?\d+)?|""(?:\.\w+\((?:"")?\))?|true|false|null) (?:==|!=|<>|<=?|>=?) (?=[$@])',
    '~', 'g');
comment on function posthorn.filter_shape(jsonpath) is
  'A filter as Postgres writes it, with "" for each name and string, [] for each subscript, and ~ for each comparison with a value.';

create function posthorn.filter_cost(filter jsonpath) returns integer
  language sql immutable strict parallel safe
  return (
    select count(*)
    from regexp_matches(posthorn.filter_shape(filter), '~|\[\]|\.\*|\?\(|\w\(|exists|starts with|is unknown', 'g')
  );
comment on function posthorn.filter_cost(jsonpath) is 'The steps of a filter: each may look at all of the data once.';

create function posthorn.is_predicate(filter jsonpath) returns boolean
  language plpgsql immutable strict parallel safe as $$
declare
  shape constant text := regexp_replace(posthorn.filter_shape(filter), '^strict ', '');
  depth integer := 0;
begin
  if shape ~ '^(?:exists |!)\(' then
    return true;
  end if;
  if shape !~ '^\(' then
    return false;
  end if;
  for place in 1 .. length(shape) loop
    depth := depth + case substr(shape, place, 1) when '(' then 1 when ')' then -1 else 0 end;
    if depth = 0 then
      return substr(shape, place + 1) in ('', ' is unknown');
    end if;
  end loop;
  return false;
end
$$;
comment on function posthorn.is_predicate(jsonpath) is
  'Whether a filter says true or false of the data ($.total > 100) rather than finding something in it ($ ? (@.total > 100)).';

create function posthorn.filter_test(filter jsonpath) returns jsonpath
  language sql immutable strict parallel safe
  return case
    when posthorn.is_predicate(filter) then
      regexp_replace(filter::text, '^(strict )?(.*)$', '\1(\2) ? (@ == true)')::jsonpath
    else filter
  end;
comment on function posthorn.filter_test(jsonpath) is
  'A filter as a path that finds something in the data that match, and nothing in others.';

create function posthorn.filter_problem(filter jsonpath) returns text
  language plpgsql immutable strict parallel safe as $$
declare
  shape constant text := posthorn.filter_shape(filter);
  cost constant integer := posthorn.filter_cost(filter);
  brackets text[] := '{}';
  symbol text;
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
  if shape ~ '\.keyvalue\(' then
    return 'it has .keyvalue(), which costs too much; name the member, or .* for all';
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
comment on function posthorn.filter_problem(jsonpath) is
  'Why that cannot be the filter of a subscription, or null. docs/filters.md has the rules.';

alter table posthorn.subscriptions
  -- Of the filter, by a trigger: what is tested, and how many steps it has.
  add column filter_test jsonpath,
  add column filter_cost smallint;

create function posthorn.judge_filter() returns trigger
  language plpgsql as $$
declare
  problem constant text := posthorn.filter_problem(new.filter);
begin
  if problem is not null then
    raise exception 'the filter cannot be used: %', problem
      using errcode = 'invalid_parameter_value', hint = 'docs/filters.md has the rules and examples.';
  end if;
  new.filter_test := posthorn.filter_test(new.filter);
  new.filter_cost := posthorn.filter_cost(new.filter);
  return new;
end
$$;
create trigger judge_filter before insert or update of filter, filter_test, filter_cost on posthorn.subscriptions
  for each row execute function posthorn.judge_filter();

-- For those of whom it is not known whether they were sent raw: from the version before, or long ago.
create function posthorn.data_of(body bytea, event_type text) returns jsonb
  language sql immutable parallel safe
  return case
    when substring(body for length(convert_to(event_type, 'UTF8')) + 24)
      = convert_to('{"type":"' || event_type || '","timestamp":"', 'UTF8')
    then posthorn.try_jsonb(body) -> 'data'
    else posthorn.try_jsonb(body)
  end;
comment on function posthorn.data_of(bytea, text) is
  'What a webhook that was sent by type carries: its data, without the envelope that Posthorn has put around.';

create function posthorn.json_elements(body bytea) returns integer
  language sql immutable strict parallel safe
  return length(convert_from(body, 'UTF8')) - length(translate(convert_from(body, 'UTF8'), ',[{', ''));
comment on function posthorn.json_elements(bytea) is
  'At least as many as the JSON has values in arrays and objects. Characters in strings may count too.';

-- Idempotency --------------------------------------------------------------------------------------

create table posthorn.idempotency_keys (
  created_at timestamptz not null default clock_timestamp(),
  -- Only ever compared, which a locale makes dear.
  tenant text collate "C" not null,
  key text collate "C" not null,
  -- SHA-256 of the request.
  fingerprint bytea not null,
  -- What was answered, in the order of the request.
  webhook_ids uuid[] not null,
  deliveries integer[] not null
) partition by range (created_at);
comment on table posthorn.idempotency_keys is
  'Under which keys webhooks were sent in the last 24 hours, and what was answered.';

create function posthorn.ensure_key_days(first_day date, last_day date) returns integer
  language plpgsql as $$
declare
  child text;
  day date;
  made integer := 0;
begin
  for day in select generate_series(first_day, last_day, interval '1 day')::date loop
    child := 'idempotency_keys_' || to_char(day, 'YYYYMMDD');
    continue when to_regclass(format('posthorn.%I', child)) is not null;
    perform pg_advisory_xact_lock(1347637332, 0);
    continue when to_regclass(format('posthorn.%I', child)) is not null;
    execute format(
      'create table posthorn.%I (like posthorn.idempotency_keys including defaults including constraints including storage)',
      child);
    -- On the parent it would have to have the time in it.
    execute format('create unique index on posthorn.%I (key, tenant)', child);
    execute format(
      'alter table posthorn.idempotency_keys attach partition posthorn.%I for values from (%L) to (%L)',
      child, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
    made := made + 1;
  end loop;
  return made;
end
$$;
comment on function posthorn.ensure_key_days(date, date) is
  'Makes the partitions of idempotency keys of these days (UTC) that are missing. Returns how many.';

create function posthorn.drop_key_days() returns integer
  language plpgsql as $$
declare
  child record;
  dropped integer := 0;
begin
  -- As posthorn.drop_day does: whoever waits for this lock has others wait behind it.
  perform set_config('lock_timeout', '200ms', true);
  for child in
    select c.relname as name, to_date(right(c.relname, 8), 'YYYYMMDD') as day
    from pg_catalog.pg_inherits i
    join pg_catalog.pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'posthorn.idempotency_keys'::regclass
    order by 2
  loop
    continue when (child.day + 2)::timestamp at time zone 'UTC' > now();
    execute format('drop table posthorn.%I', child.name);
    dropped := dropped + 1;
  end loop;
  return dropped;
end
$$;
comment on function posthorn.drop_key_days() is
  'Drops the days of idempotency keys of which all are older than 24 hours. Returns how many days.';

create function posthorn.judge_keys(
  tenants text[],
  keys text[],
  fingerprints bytea[],
  -- In the order given: null for who has no key or has a new one.
  out outcomes text[],
  out ids uuid[],
  out deliveries integer[]
) language plpgsql as $$
declare
  locked boolean[];
  -- Both ends, since each day that is looked into costs something for each key.
  since constant timestamptz := clock_timestamp() - interval '24 hours';
  until constant timestamptz := clock_timestamp() + interval '1 hour';
begin
  -- Never waits, so it can be part of no deadlock, and nobody's open transaction holds up a group.
  select array_agg(
    case when key is not null then pg_try_advisory_xact_lock(hashtextextended(tenant || E'\n' || key, 1347637332)) end
    order by place)
  from unnest(tenants, keys) with ordinality as u (tenant, key, place)
  into locked;

  -- A statement of its own, which sees what whoever had the lock before has committed. All keys are
  -- looked for at once, in each day that it may be: looking for one after the other took thrice as long.
  with known as materialized (
    select tenant, key, fingerprint, webhook_ids, k.deliveries
    from posthorn.idempotency_keys k
    where k.key = any (keys) and k.created_at > since and k.created_at < until
  )
  select
    array_agg(
      case
        when not g.locked then 'in_flight'
        when known.fingerprint <> g.fingerprint then 'reused'
        when known.fingerprint is not null then 'replayed'
      end order by place),
    array_agg(known.webhook_ids[nth] order by place),
    array_agg(known.deliveries[nth] order by place)
  from (
    select *, row_number() over (partition by tenant, key order by place) as nth
    from unnest(tenants, keys, fingerprints, locked) with ordinality as u (tenant, key, fingerprint, locked, place)
  ) as g
  -- Of a key that was taken for two days, either row says it.
  left join lateral (select * from known k where k.tenant = g.tenant and k.key = g.key limit 1) as known on true
  into outcomes, ids, deliveries;
end
$$;
comment on function posthorn.judge_keys(text[], text[], bytea[]) is
  'Takes idempotency keys until the end of the transaction, or says who has them: in_flight, reused (for another request), or replayed, with what was answered.';

create function posthorn.keep_keys(
  tenants text[],
  keys text[],
  fingerprints bytea[],
  outcomes text[],
  ids uuid[],
  deliveries integer[]
) returns void language plpgsql as $$
declare
  today constant date := (clock_timestamp() at time zone 'UTC')::date;
  -- Whoever keeps an old snapshot may not see the row of a key that was used since. On one day the
  -- unique index tells, by a serialization failure; so that it does over midnight too, such a one
  -- takes the key for both days.
  days constant integer := case current_setting('transaction_isolation') when 'read committed' then 0 else 1 end;
begin
  perform posthorn.ensure_key_days(today - days, today + 1);
  if days = 0 then
    insert into posthorn.idempotency_keys (tenant, key, fingerprint, webhook_ids, deliveries)
    select tenant, key, (array_agg(fingerprint))[1], array_agg(id order by place), array_agg(number order by place)
    from unnest(tenants, keys, fingerprints, outcomes, ids, deliveries)
      with ordinality as u (tenant, key, fingerprint, outcome, id, number, place)
    where key is not null and outcome is null and id is not null
    group by tenant, key;
  else
    insert into posthorn.idempotency_keys (created_at, tenant, key, fingerprint, webhook_ids, deliveries)
    select
      case back when 0 then clock_timestamp()
        else today::timestamp at time zone 'UTC' - interval '1 microsecond' end,
      tenant, key, (array_agg(fingerprint))[1], array_agg(id order by place), array_agg(number order by place)
    from unnest(tenants, keys, fingerprints, outcomes, ids, deliveries)
        with ordinality as u (tenant, key, fingerprint, outcome, id, number, place),
      generate_series(0, 1) as back
    where key is not null and outcome is null and id is not null
    group by tenant, key, back
    -- Raises serialization_failure for a row that the snapshot does not have.
    on conflict do nothing;
  end if;
end
$$;
comment on function posthorn.keep_keys(text[], text[], bytea[], text[], uuid[], integer[]) is
  'Stores what was answered under idempotency keys that were new.';

-- From here on the keeper makes them a week ahead: whoever has to make one has others wait for the end
-- of his transaction.
select posthorn.ensure_key_days((now() at time zone 'UTC')::date, (now() at time zone 'UTC')::date + 7);

-- Event types --------------------------------------------------------------------------------------

create table posthorn.event_types (
  tenant text not null default 'default',
  name text not null check (name ~ '^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$' and length(name) <= 128),
  description text,
  -- json and not jsonb: what is given is shown as it was, and may have \u0000 in it.
  schema json,
  example json,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  archived_at timestamptz,
  primary key (tenant, name)
);
comment on table posthorn.event_types is 'Types of webhooks that a tenant has described.';

alter table posthorn.tenants
  -- Whether data must fit the schema of their type.
  add column validate_event_types boolean not null default false;

create function posthorn.notify_event_types_changed() returns trigger
  language plpgsql as $$
begin
  -- No cache knows longer ones, and a notification takes no more than 8,000 bytes.
  perform pg_notify('posthorn_event_types', left(coalesce(new.tenant, old.tenant), 256));
  return null;
end
$$;
create trigger notify_changed after insert or update or delete on posthorn.event_types
  for each row execute function posthorn.notify_event_types_changed();

create function posthorn.notify_event_types_asked() returns trigger
  language plpgsql as $$
begin
  perform pg_notify('posthorn_event_types', left(new.id, 256));
  return null;
end
$$;
create trigger notify_event_types_asked
  after insert or update of strict_event_types, validate_event_types on posthorn.tenants
  for each row execute function posthorn.notify_event_types_asked();

-- Intake -------------------------------------------------------------------------------------------

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
  out ids uuid[],
  out deliveries integer[],
  -- Null for all, or null for each that was accepted; replayed, in_flight, reused, filters_cost.
  out outcomes text[]
) language plpgsql as $$
declare
  today constant date := (clock_timestamp() at time zone 'UTC')::date;
  -- Steps of filters times elements of data: half a second of a core where none matches.
  max_filters_cost constant bigint := 4 * 1024 * 1024;
  jobs graphile_worker.job_spec[];
  backlogs integer[];
  costly uuid[];
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
    select live.id, s.id as subscription_id, live.length, live.place,
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
  ), filtering as materialized (
    -- A row a webhook that somebody filters: its data are read once for all of them.
    select id, place, length, start, data_start, event_type,
      array_agg(subscription_id) as subscription_ids, array_agg(filter_test) as tests,
      array_agg(through_backlog) as through_backlogs, array_agg(moving) as movings,
      -- An element takes two bytes or more, so most need not be counted.
      sum(filter_cost) * length / 2 > max_filters_cost
        and sum(filter_cost) * posthorn.json_elements(substring(bodies from start + 1 for length))
          > max_filters_cost as too_costly
    from candidates
    where filter_test is not null
    group by id, place, length, start, data_start, event_type
  ), refused as materialized (
    select coalesce(array_agg(id), '{}') as webhooks from filtering where too_costly
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
    where not f.too_costly and jsonb_path_exists(d.data, s.test, '{}', true)
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
    (select webhooks from refused)
  from given
  left join live using (place)
  left join counted using (place)
  into given_ids, deliveries, jobs, backlogs, costly;
  ids := given_ids;

  if costly <> '{}' then
    if all_or_none then
      raise exception 'a webhook is too large for as many filters as its subscriptions have'
        using errcode = 'program_limit_exceeded',
          detail = 'Steps of filters times elements of data may be 4 Mi.',
          hint = 'Send less data, or have fewer or shorter filters: docs/filters.md.';
    end if;
    select
      array_agg(case when id = any (costly) then 'filters_cost' else outcome end order by place),
      array_agg(case when id <> all (costly) then id end order by place)
    from unnest(given_ids, outcomes) with ordinality as u (id, outcome, place)
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
comment on function posthorn.accept(bytea, integer[], integer[], text[], integer[], text[], text[], text[], text[], integer[], text[], bytea[], boolean) is
  'Stores webhooks, what is owed for them and the jobs that wake the workers. Returns their ids in the order given, null where the subscription does not exist or the outcome says why, and how many deliveries each has.';
revoke execute on function posthorn.accept(bytea, integer[], integer[], text[], integer[], text[], text[], text[], text[], integer[], text[], bytea[], boolean) from public;

-- What processes of the version before call while an upgrade goes on.
create or replace function posthorn.accept(
  bodies bytea,
  starts integer[],
  lengths integer[],
  content_types text[],
  subscription_ids integer[],
  tenants text[],
  event_types text[],
  out ids uuid[],
  out deliveries integer[]
) language sql as $$
  select a.ids, a.deliveries
  from posthorn.accept(bodies, starts, lengths, content_types, subscription_ids, tenants, event_types,
    null, null, null, null, null, true) as a
$$;

-- Sending from SQL ---------------------------------------------------------------------------------

create function posthorn.judge_sending(
  event_types text[],
  tenant text,
  channels text[],
  ordering_keys text[],
  idempotency_key text,
  subscription_id integer
) returns void
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  bad text;
begin
  if judge_sending.tenant is null then
    raise exception 'the tenant is null' using errcode = 'null_value_not_allowed',
      hint = 'Leave it out for the tenant named default.';
  end if;
  perform posthorn.require_tenant(judge_sending.tenant);
  select t from unnest(event_types) as t
    where t is null or t !~ '^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$' or length(t) > 128
    limit 1
    into bad;
  if found then
    raise exception '% is not an event type', coalesce('"' || bad || '"', 'null')
      using errcode = 'invalid_parameter_value',
        hint = 'Write words of letters, digits, _ and - with dots between them, such as order.created.';
  end if;
  select t from unnest(event_types) as t where t like 'posthorn.%' limit 1 into bad;
  if found then
    raise exception 'event types that begin with "posthorn." are sent by Posthorn alone: "%"', bad
      using errcode = 'reserved_name', hint = 'Choose another first word.';
  end if;
  perform from posthorn.tenants t where t.id = judge_sending.tenant and t.strict_event_types;
  if found then
    select t from unnest(event_types) as t
      where not exists (
        select from posthorn.event_types e
        where e.tenant = judge_sending.tenant and e.name = t and e.archived_at is null)
      limit 1
      into bad;
    if found then
      raise exception 'the event type "%" is not registered, or is archived, and the tenant takes no others', bad
        using errcode = 'invalid_parameter_value', hint = 'Register it by POST /v1/event-types.';
    end if;
  end if;
  select c from unnest(channels) as c
    where c is null or c !~ '^[A-Za-z0-9_.:-]+$' or length(c) > 128
    limit 1
    into bad;
  if found then
    raise exception '% is not a channel', coalesce('"' || bad || '"', 'null')
      using errcode = 'invalid_parameter_value', hint = 'Write letters, digits, _ . : and -, such as project-42.';
  end if;
  if cardinality(channels) not between 1 and 20 then
    raise exception 'there are % channels', cardinality(channels)
      using errcode = 'invalid_parameter_value', hint = 'Give 1 to 20, or null for none.';
  end if;
  perform from unnest(ordering_keys) as k where k = '' or length(k) > 256 limit 1;
  if found then
    raise exception 'an ordering key is empty or too long'
      using errcode = 'invalid_parameter_value', hint = 'Give 1 to 256 characters, or null for none.';
  end if;
  if idempotency_key !~ '^[\x20-\x7e]{1,255}$' then
    raise exception 'that cannot be an idempotency key'
      using errcode = 'invalid_parameter_value', hint = 'Give 1 to 255 characters of ASCII that can be seen, such as a UUID.';
  end if;
  if judge_sending.subscription_id is not null then
    perform from posthorn.subscriptions s
      where s.id = judge_sending.subscription_id and s.tenant = judge_sending.tenant and s.deleted_at is null;
    if not found then
      raise exception 'the tenant "%" has no subscription %', tenant, subscription_id
        using errcode = 'foreign_key_violation', hint = 'Leave it out to send to all that want the type.';
    end if;
  end if;
end
$$;
comment on function posthorn.judge_sending(text[], text, text[], text[], text, integer) is
  'Raises an error with a hint for what cannot be sent.';
revoke execute on function posthorn.judge_sending(text[], text, text[], text[], text, integer) from public;

create function posthorn.send_many(
  event_types text[],
  data jsonb[],
  tenant text default 'default',
  -- Of all of them.
  channels text[] default null,
  -- One for each.
  ordering_keys text[] default null,
  -- For all of them together.
  idempotency_key text default null,
  subscription_id integer default null
) returns uuid[]
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  sent_at constant text := to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
  many constant integer := coalesce(cardinality(event_types), 0);
  bodies bytea;
  starts integer[];
  lengths integer[];
  data_starts integer[];
  fingerprint bytea;
  sent record;
begin
  if many <> coalesce(cardinality(data), 0) then
    raise exception 'there are % event types and % data', many, coalesce(cardinality(data), 0)
      using errcode = 'invalid_parameter_value', hint = 'Give one event type for each.';
  end if;
  if many <> coalesce(cardinality(ordering_keys), many) then
    raise exception 'there are % event types and % ordering keys', many, cardinality(ordering_keys)
      using errcode = 'invalid_parameter_value', hint = 'Give one for each, null for those without, or none at all.';
  end if;
  perform posthorn.judge_sending(event_types, tenant, channels, ordering_keys, idempotency_key, subscription_id);
  if many = 0 then
    return '{}';
  end if;

  select
    string_agg(body, ''::bytea order by place),
    array_agg((behind - length)::integer order by place),
    array_agg(length order by place),
    array_agg(data_start order by place)
  from (
    select place, head || rest as body, length(head) as data_start, length(head) + length(rest) as length,
      sum(length(head) + length(rest)) over (order by place) as behind
    from (
      select g.place,
        convert_to('{"type":' || to_jsonb(g.event_type)::text || ',"timestamp":"' || sent_at || '","data":', 'UTF8')
          as head,
        convert_to(coalesce(g.data::text, 'null') || '}', 'UTF8') as rest
      from unnest(event_types, data) with ordinality as g (event_type, data, place)
    ) as parts
  ) as wrapped
  into bodies, starts, lengths, data_starts;

  if idempotency_key is not null then
    fingerprint := sha256(convert_to(
      jsonb_build_array('posthorn.send', event_types, data, channels, ordering_keys, subscription_id)::text, 'UTF8'));
  end if;
  sent := posthorn.accept(
    bodies,
    starts,
    lengths,
    array_fill('application/json'::text, array[many]),
    array_fill(subscription_id, array[many]),
    array_fill(tenant, array[many]),
    event_types,
    case when channels is not null then array_fill(channels::text, array[many]) end,
    ordering_keys,
    data_starts,
    case when idempotency_key is not null then array_fill(idempotency_key, array[many]) end,
    case when idempotency_key is not null then array_fill(fingerprint, array[many]) end,
    true);
  if 'in_flight' = any (sent.outcomes) then
    raise exception 'another transaction is sending under the idempotency key "%"', idempotency_key
      using errcode = 'lock_not_available', hint = 'Send again once it has ended; what it sent is then returned.';
  end if;
  if 'reused' = any (sent.outcomes) then
    raise exception 'the idempotency key "%" was used for something else in the last 24 hours', idempotency_key
      using errcode = 'unique_violation', hint = 'Give each webhook a key of its own.';
  end if;
  if array_position(sent.ids, null) is not null then
    raise exception 'the subscription % was deleted at this moment', subscription_id
      using errcode = 'foreign_key_violation';
  end if;
  return sent.ids;
end
$$;
comment on function posthorn.send_many(text[], jsonb[], text, text[], text[], text, integer) is
  'Sends webhooks to all of the tenant that want them, as part of the transaction that calls it. Returns their ids in the order given.';

create function posthorn.send(
  event_type text,
  data jsonb,
  tenant text default 'default',
  channels text[] default null,
  ordering_key text default null,
  idempotency_key text default null,
  subscription_id integer default null
) returns uuid
  language sql security definer set search_path = pg_catalog, pg_temp
  return (posthorn.send_many(array[event_type], array[data], tenant, channels,
    case when ordering_key is not null then array[ordering_key] end, idempotency_key, subscription_id))[1];
comment on function posthorn.send(text, jsonb, text, text[], text, text, integer) is
  'Sends a webhook to all of the tenant that want it, as part of the transaction that calls it. Returns its id.';

revoke execute on function
  posthorn.send_many(text[], jsonb[], text, text[], text[], text, integer),
  posthorn.send(text, jsonb, text, text[], text, text, integer) from public;

-- The ones before go, since a call could mean either. Who might call them may call the new ones; and
-- where something of an application is bound to one (a function with a SQL body, a view), it stays
-- under another name, which is all the same to what is bound to it, and calls the new one.
create or replace function posthorn.send_many(event_types text[], data jsonb[], tenant text default 'default')
  returns uuid[]
  language sql security definer set search_path = pg_catalog, pg_temp
  return posthorn.send_many(event_types, data, tenant, null, null, null, null);
create or replace function posthorn.send(event_type text, data jsonb, tenant text default 'default')
  returns uuid
  language sql security definer set search_path = pg_catalog, pg_temp
  return posthorn.send(event_type, data, tenant, null, null, null, null);
do $$
declare
  name text;
  old regprocedure;
  new regprocedure;
  granted record;
begin
  foreach name in array array['send', 'send_many'] loop
    select p.oid from pg_catalog.pg_proc p
      where p.pronamespace = 'posthorn'::regnamespace and p.proname = name and p.pronargs = 3 into old;
    select p.oid from pg_catalog.pg_proc p
      where p.pronamespace = 'posthorn'::regnamespace and p.proname = name and p.pronargs = 7 into new;
    for granted in
      select a.grantee, a.is_grantable
      from pg_catalog.pg_proc p, aclexplode(p.proacl) a
      where p.oid = old and a.grantee <> p.proowner
    loop
      execute format('grant execute on function %s to %s %s', new,
        case granted.grantee when 0 then 'public' else granted.grantee::regrole::text end,
        case when granted.is_grantable then 'with grant option' else '' end);
    end loop;
    begin
      execute format('drop function %s', old);
    exception when dependent_objects_still_exist then
      execute format('alter function %s rename to %I', old, name || '_0003');
    end;
  end loop;
end
$$;
