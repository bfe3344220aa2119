import type pg from 'pg';
import { inTransaction } from '../db/transaction.ts';

export const BACKFILL_STATES = ['waiting', 'running', 'succeeded', 'failed', 'cancelled'] as const;

/** A backfill as the API shows it: existing rows of a watched table that are being sent. */
export interface Backfill {
  readonly id: number;
  readonly watch_id: number;
  /** Null if the table is gone. */
  readonly schema: string | null;
  readonly table: string | null;
  readonly where: string | null;
  readonly per_second: number | null;
  readonly state: (typeof BACKFILL_STATES)[number];
  readonly rows_sent: number;
  readonly progress: number;
  readonly sent_by_workers: boolean;
  readonly error: string | null;
  readonly created_at: Date;
  readonly ended_at: Date | null;
}

const READ = `
  select b.id, b.watch as watch_id, n.nspname as schema, c.relname as table, b."where", b.per_second, b.state,
    b.rows_sent::float8 as rows_sent, b.progress, b.sent_by_workers, b.error, b.created_at, b.ended_at
  from posthorn.backfills b
  left join pg_class c on c.oid = b.rel
  left join pg_namespace n on n.oid = c.relnamespace`;

/** Returns the backfills with smaller ids, the newest first. */
export async function listBackfills(
  pool: pg.Pool,
  { before, limit }: { before: number; limit: number },
): Promise<Backfill[]> {
  const { rows } = await pool.query<Backfill>(
    `${READ} where b.id < $1 order by b.id desc limit $2`,
    [before, limit],
  );
  return rows;
}

/** Returns a backfill, or undefined. */
export async function getBackfill(
  pool: Pick<pg.Pool, 'query'>,
  id: number,
): Promise<Backfill | undefined> {
  const { rows } = await pool.query<Backfill>(`${READ} where b.id = $1`, [id]);
  return rows[0];
}

/**
 * Begins a backfill (`posthorn.backfill`) whose condition may only compare values of the row.
 *
 * @throws pg.DatabaseError if it cannot begin: `column` is the parameter that is wrong, if one is.
 */
export function createBackfill(
  pool: pg.Pool,
  watchId: number,
  { where = null, per_second = null }: { where?: string | null; per_second?: number | null },
): Promise<Backfill> {
  return inTransaction(pool, async (client) => {
    await client.query(
      `select posthorn.check_plain_condition(w.rel, $2, 'backfill', 'where')
       from posthorn.watches w, posthorn.find_watches($1::oid) f where w.id = f.id`,
      [watchId, where],
    );
    const { rows } = await client.query<{ id: number }>(
      'select posthorn.backfill($1::oid, $2, $3) as id',
      [watchId, where, per_second],
    );
    return (await getBackfill(client, rows[0]?.id ?? 0)) as Backfill;
  });
}

/** Ends a backfill after the portion that is being sent, and returns whether it had not ended. */
export async function cancelBackfill(pool: pg.Pool, id: number): Promise<boolean> {
  const { rows } = await pool.query<{ cancelled: boolean }>(
    'select posthorn.cancel_backfill($1) as cancelled',
    [id],
  );
  return rows[0]?.cancelled === true;
}
