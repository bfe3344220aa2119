import type pg from 'pg';
import { quoted, REDUCED } from './failed-history.ts';

/** The order in which the tables of history lose a partition: what refers to other tables goes first. */
export const TABLES = [
  'deliveries',
  'delivery_attempts',
  'webhook_payloads',
  'idempotency_keys',
] as const;

/** A partition, as posthorn.list_partitions() returns it. */
export interface Partition {
  readonly parent: (typeof TABLES)[number];
  readonly name: string;
  readonly from_at: Date;
  readonly until_at: Date;
  readonly detaching: boolean;
  /** True if it has only failed deliveries (failed-history.ts). */
  readonly reduced: boolean;
}

/** An unfinished delivery. */
export const UNFINISHED = `state in ('pending', 'held')`;

/** Returns all partitions of all tables. */
export async function partitions(client: pg.PoolClient): Promise<Partition[]> {
  const { rows } = await client.query<Partition>(
    'select *, false as reduced from posthorn.list_partitions()',
  );
  return rows;
}

/**
 * Returns the partitions whose last row is older than its table keeps rows, in the order in which they are dropped: table
 * by table, the oldest first. They are listed once, because that takes long if there are a thousand.
 */
export async function expired(
  client: pg.PoolClient,
  keepMs: Readonly<Record<Partition['parent'], number>>,
): Promise<Partition[]> {
  const { rows } = await client.query<Partition>(
    `select l.*, obj_description(format('posthorn.%I', l.name)::regclass, 'pg_class') is not distinct from '${REDUCED}' as reduced
     from unnest($1::text[], $2::float8[]) with ordinality as t (name, keep_ms, place)
     join posthorn.list_partitions() l on l.parent = t.name
     where not l.detaching and l.until_at <= now() - t.keep_ms * interval '1 millisecond'
     order by t.place, l.from_at`,
    [TABLES, TABLES.map((table) => keepMs[table])],
  );
  return rows;
}

/** Returns whether unfinished deliveries of that time are due, or scheduled for later; null: there are none. */
export async function owedIn(
  client: pg.PoolClient,
  { from_at, until_at }: Partition,
): Promise<'due' | 'scheduled' | null> {
  const { rows } = await client.query<{ scheduled: boolean }>(
    `select next_attempt_at > now() and attempt_count = 0 as scheduled
     from posthorn.deliveries
     where webhook_id >= posthorn.uuidv7_floor($1) and webhook_id < posthorn.uuidv7_floor($2) and ${UNFINISHED}
     order by next_attempt_at
     limit 1`,
    [from_at, until_at],
  );
  if (rows[0] === undefined) return null;
  return rows[0].scheduled ? 'scheduled' : 'due';
}

/** Returns whether a partition, or a table that was one, has no row, or none of those in `where`. */
export async function isEmpty(
  client: pg.PoolClient,
  name: string,
  where = 'true',
): Promise<boolean> {
  const { rows } = await client.query<{ empty: boolean }>(
    `select not exists (select from posthorn.${quoted(name)} where ${where}) as empty`,
  );
  return rows[0]?.empty === true;
}
