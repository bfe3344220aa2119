import type pg from 'pg';

/** What a list goes through to find the rows of a tenant. */
export type Reach = 'all' | 'subscriptions';

/** A tenant's rows are merged from those of its subscriptions, as long as it has no more of them. */
const MAX_MERGED = 50;

/**
 * How to find what belongs to a tenant. History has no tenant of its own, only subscriptions do: the
 * rows of a few subscriptions are merged, those of many, or of all there are, are found among all.
 *
 * @param most how many rows may be read in all.
 * @returns how, and how many rows may be read: of each subscription where they are merged.
 */
export async function reachOf(
  pool: pg.Pool,
  tenant: string,
  limit: number,
  most: number,
): Promise<{ reach: Reach; scan: number }> {
  const { rows } = await pool.query<{ own: number; others: boolean }>({
    name: 'reach',
    text: `
      select
        (select count(*) from (
          select from posthorn.subscriptions where tenant = $1 limit ${MAX_MERGED + 1}) as own)::integer as own,
        exists (select from posthorn.subscriptions where tenant < $1)
          or exists (select from posthorn.subscriptions where tenant > $1) as others`,
    values: [tenant],
  });
  const { own = 0, others = false } = rows[0] ?? {};
  if (!others || own > MAX_MERGED) return { reach: 'all', scan: most };
  return {
    reach: 'subscriptions',
    scan: Math.max(limit + 1, Math.floor(most / Math.max(1, own))),
  };
}
