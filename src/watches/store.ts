import type pg from 'pg';

/** A watch as the API shows it. */
export interface Watch {
  readonly id: number;
  readonly schema: string;
  readonly table: string;
  readonly enabled: boolean;
  readonly owner: string;
  readonly ops: string[];
  readonly columns: string[] | null;
  readonly payload_columns: string[] | null;
  readonly when: string | null;
  readonly with_old: boolean;
  readonly ordering_key: string | null;
  readonly tenant: string | null;
  readonly tenant_column: string | null;
  readonly per: string;
  readonly event_type: string;
  readonly on_error: string;
  readonly failures: number;
  readonly last_failed_at: Date | null;
  readonly last_error: string | null;
}

const READ = `
  select w.id, n.nspname as schema, c.relname as table, w.enabled, w.owner, w.ops, w.columns, w.payload_columns,
    w."when", w.with_old, w.ordering_key, w.tenant, w.tenant_column, w.per, w.event_type, w.on_error,
    w.failures::float8 as failures, w.last_failed_at, w.last_error
  from posthorn.watches w
  join pg_class c on c.oid = w.rel
  join pg_namespace n on n.oid = c.relnamespace`;

/** Returns the watches with greater ids, by id. */
export async function listWatches(
  pool: pg.Pool,
  { after, limit }: { after: number; limit: number },
): Promise<Watch[]> {
  const { rows } = await pool.query<Watch>(`${READ} where w.id > $1 order by w.id limit $2`, [
    after,
    limit,
  ]);
  return rows;
}

/** Returns a watch, or undefined. */
export async function getWatch(pool: pg.Pool, id: number): Promise<Watch | undefined> {
  const { rows } = await pool.query<Watch>(`${READ} where w.id = $1`, [id]);
  return rows[0];
}
