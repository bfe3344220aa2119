import type pg from 'pg';
import { msOfId } from '../db/uuidv7.ts';
import type { Found } from './scan.ts';
import { searchByAttempt } from './search-by-attempt.ts';
import { searchByDelivery } from './search-by-delivery.ts';
import { listWebhooks, type Webhook, type WebhookSearch } from './webhooks.ts';

/** While a page has room and this time is not over, more rows are read for it. */
const MAX_SEARCH_MS = 150;

/** The rows that are read for a search: their order is that of its pages. */
type Through = 'webhooks' | 'deliveries' | 'attempts';

/** Returns which rows are read: those that the most specific filter is about. */
export function searchedThrough(
  search: Pick<WebhookSearch, 'subscriptionId' | 'state' | 'responseCode' | 'errorCode'>,
): Through {
  if (search.responseCode !== undefined || search.errorCode !== undefined) return 'attempts';
  return search.subscriptionId !== undefined || search.state !== undefined
    ? 'deliveries'
    : 'webhooks';
}

interface SearchedPage extends Found<Webhook> {
  /** How far back was searched: when the last row that was read happened. Null: all were read. */
  readonly searchedUntil: Date | null;
}

/**
 * Finds webhooks, the newest first; by the code of an attempt, those with the newest such attempt first. Each comes
 * once.
 *
 * Only indexes are read in their order, and a limited number of rows in each step. So a page may have fewer webhooks
 * than `limit`, even none: `next` goes on where the search stopped.
 *
 * @param after the position at which the page before ended.
 */
export async function searchWebhooks(
  pool: pg.Pool,
  search: WebhookSearch,
  limit: number,
  after: readonly string[] | undefined,
): Promise<SearchedPage> {
  const startedAt = performance.now();
  const rows: Webhook[] = [];
  let next: readonly string[] | null | undefined = after;
  do {
    const page: Found<Webhook> = await searchOnce(pool, search, limit - rows.length, next);
    rows.push(...page.rows);
    next = page.next;
  } while (next !== null && rows.length < limit && performance.now() - startedAt < MAX_SEARCH_MS);
  return {
    rows,
    next,
    searchedUntil: next === null ? null : timeOf(searchedThrough(search), next),
  };
}

/** One step of a search: a single statement, which reads a limited number of rows. */
export async function searchOnce(
  pool: pg.Pool,
  search: WebhookSearch,
  limit: number,
  after: readonly string[] | undefined,
): Promise<Found<Webhook>> {
  switch (searchedThrough(search)) {
    case 'webhooks':
      return await listWebhooks(pool, search, limit, after);
    case 'deliveries':
      return await searchByDelivery(pool, search, limit, after);
    case 'attempts':
      return await searchByAttempt(pool, search, limit, after);
  }
}

function timeOf(through: Through, [first = '']: readonly string[]): Date {
  return new Date(through === 'attempts' ? Number(first) / 1000 : msOfId(first));
}
