import type pg from 'pg';
import { plainArray } from '../db/arrays.ts';
import type { DeliveryState } from '../db/types.ts';
import type { DeliveryKeys } from './load.sql.ts';

/** The result of making deliveries owed again. */
export interface Reopened {
  /** Deliveries that are due now and were not before. */
  readonly owed: number;
}

/**
 * Makes deliveries owed at once that have ended in one of `states`; with `pending` among these, also those that wait
 * for their next attempt. The statement is in schema/functions/reopen.sql, which posthorn.retry calls too.
 *
 * @param client in a transaction.
 */
export async function reopen(
  client: Pick<pg.ClientBase, 'query'>,
  { webhooks, subscriptions }: DeliveryKeys,
  states: readonly DeliveryState[],
): Promise<Reopened> {
  if (webhooks.length === 0) return { owed: 0 };
  const { rows } = await client.query<{ owed: number }>(
    'select posthorn.reopen($1, $2, $3) as owed',
    [plainArray(webhooks), plainArray(subscriptions), plainArray(states)],
  );
  return { owed: rows[0]?.owed ?? 0 };
}
