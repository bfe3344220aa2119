import type pg from 'pg';

/** Everything in graphile-worker's schema, as text that is the same for equal schemas. */
export async function dumpQueue(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ line: string }>(QUERY);
  return rows
    .map(({ line }) => line)
    .sort()
    .join('\n');
}

const QUERY = `
  with tables as (
    select c.oid, c.relname, c.relkind, c.relrowsecurity
    from pg_class c where c.relnamespace = 'graphile_worker'::regnamespace
  )
  select concat_ws(' ', relkind, relname, relrowsecurity) as line from tables
  union all
  select concat_ws(' ', relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
    attgenerated, pg_get_expr(d.adbin, d.adrelid))
  from tables join pg_attribute a on a.attrelid = tables.oid and attnum > 0 and not attisdropped
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  union all
  select concat_ws(' ', relname, conname, pg_get_constraintdef(k.oid))
  from tables join pg_constraint k on k.conrelid = tables.oid
  union all
  select pg_get_indexdef(indexrelid) from tables join pg_index on indrelid = tables.oid
  union all
  select pg_get_triggerdef(t.oid) from tables join pg_trigger t on tgrelid = tables.oid where not tgisinternal
  union all
  select pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '')
  from pg_proc p where p.pronamespace = 'graphile_worker'::regnamespace
  union all
  select concat_ws(' ', 'migration', id, breaking) from graphile_worker.migrations
  union all
  select concat_ws(' ', 'type', typname, typtype) from pg_type where typnamespace = 'graphile_worker'::regnamespace`;
