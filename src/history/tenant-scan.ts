import type pg from 'pg';
import type { Parameters } from './scan.ts';

/** The way in which a list finds the rows of a tenant. */
export type Reach = 'all' | 'subscriptions';

/** Up to this many subscriptions, a tenant's rows are merged from those of its subscriptions. */
const MAX_MERGED = 50;

/**
 * Decides how to find the rows of a tenant. History rows have no tenant, only their subscriptions do. The rows
 * of a few subscriptions are merged; for many, or if there is no other tenant, all rows are searched.
 *
 * @param most the most rows to read in all.
 * @returns the way, and the most rows to read (of each subscription if they are merged).
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

/**
 * SQL that reads rows in an order, or merges those of each subscription of a tenant, at most `$1` of each.
 *
 * @param merged the tenant; undefined: all rows are read.
 * @param rows SQL that ends with its conditions.
 * @param subscription its column with the id of the subscription.
 */
export function mergedRows(
  p: Parameters,
  merged: string | undefined,
  rows: string,
  subscription: string,
  order: string,
): string {
  if (merged === undefined) return `${rows} order by ${order}`;
  return `
    select m.*
    from posthorn.subscriptions t
    cross join lateral (${rows} and ${subscription} = t.id order by ${order} limit $1) as m
    where t.tenant = ${p.add(merged, 'text')}
    order by ${order}`;
}
