// What a search by delivery and a search by attempt share.
import type pg from 'pg';
import { historyIn, type LiveHistory } from '../db/live-history.ts';
import { SCAN_JOINED_ROWS } from './scan.ts';
import { type Reach, reachOf } from './tenant-scan.ts';
import { SEARCHED_COLUMNS, searchLimits, type WebhookSearch } from './webhooks.ts';
import type { Window } from './windows.sql.ts';

/** How the rows of a search are read. */
export interface Way {
  /** True: the rows of all subscriptions of the tenant are read. */
  readonly isWide: boolean;
  readonly reach: Reach;
  readonly scan: number;
}

export async function findWay(pool: pg.Pool, search: WebhookSearch): Promise<Way> {
  const { scan } = searchLimits(search, SCAN_JOINED_ROWS);
  const isWide = search.subscriptionId === undefined && search.webhookId === undefined;
  return isWide
    ? { isWide, ...(await reachOf(pool, search.tenant, 0, scan)) }
    : { isWide, reach: 'all', scan };
}

/** A part of history, in which rows are read. */
export type Part = Pick<Window, 'ids' | 'named'>;
/** For a search by id, which names the partition. */
export const EVERYWHERE: Part = {
  ids: historyIn([{ from: null, below: null }]),
  named: () => undefined,
};

/** SQL that adds the webhook to each of at most `$1` rows. */
export function withWebhooks(
  rows: string,
  columns: string,
  order: string,
  { where }: LiveHistory,
): string {
  return `
    select ${columns}, ${SEARCHED_COLUMNS}
    from (${rows} limit $1) as s
    join posthorn.webhook_payloads w on w.id = s.webhook_id and ${where('w.id')}
    order by ${order}`;
}

/** Names whose rows are read, for the name of a statement. */
export function kindOf(subscriptionId: number | undefined, reach: 'all' | 'subscriptions'): string {
  return subscriptionId === undefined ? reach : 'subscription';
}
