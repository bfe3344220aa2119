create or replace function posthorn.create_partition(parent text, from_at timestamptz, until_at timestamptz)
  returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  child text := parent || '_' || to_char(from_at, 'YYYYMMDD');
begin
  -- A table that an operator has detached keeps its name.
  while to_regclass(format('posthorn.%I', child)) is not null loop
    child := child || '_';
  end loop;
  -- CREATE TABLE … PARTITION OF would lock the parent against every insert; ATTACH locks it only against other
  -- changes of its structure.
  execute format(
    'create table posthorn.%I (like posthorn.%I including defaults including constraints including storage)',
    child, parent);
  if parent = 'idempotency_keys' then
    -- A unique index on the whole table would have to contain created_at.
    execute format('create unique index %I on posthorn.%I (key, tenant)', child || '_key_tenant_idx', child);
    -- Without it, send_many fails while a publication is for all tables.
    execute format('alter table posthorn.%I replica identity using index %I', child, child || '_key_tenant_idx');
    execute format('alter table posthorn.%I attach partition posthorn.%I for values from (%L) to (%L)',
      parent, child, from_at, until_at);
  else
    -- For a value that it does not know, Postgres expects the average of all values. Where one tenant has almost all
    -- rows of a day, the average is the whole day, and the list of any tenant would be read by the index on time, past
    -- the rows of the others. With this, each tenant and subscription seems to have few rows.
    -- *Measured* beside a tenant with a million webhooks: the empty list of another tenant took 2.5 s, and takes 11 ms.
    execute format('alter table posthorn.%I alter column %I set (n_distinct = -0.05)',
      child, case parent when 'webhook_payloads' then 'tenant' else 'subscription_id' end);
    -- The primary keys of the other two tables come with ATTACH. Without an identity, erasing answers would fail
    -- while there is a publication for all tables.
    if parent = 'delivery_attempts' then
      execute format('alter table posthorn.%I replica identity full', child);
    end if;
    execute format('alter table posthorn.%I attach partition posthorn.%I for values from (%L) to (%L)',
      parent, child, posthorn.uuidv7_floor(from_at), posthorn.uuidv7_floor(until_at));
  end if;
end
$$;
comment on function posthorn.create_partition is
  'Creates the partition of a table (of history, or idempotency_keys) for a range of time that none covers.';
revoke execute on function posthorn.create_partition from public;
