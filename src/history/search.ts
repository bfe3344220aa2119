import type pg from 'pg';
import { historyIn, type LiveHistory, readLiveHistory } from '../db/live-history.ts';
import { floorOf, msOfId } from '../db/uuidv7.ts';
import { attemptsBefore, isUnsuccessful, timeAfter } from './attempts.ts';
import {
  createParameters,
  type Found,
  microsecondsOf,
  momentOf,
  type Parameters,
  readPage,
  SCAN_JOINED_ROWS,
  uuidConstant,
} from './scan.ts';
import { mergedRows, type Reach, reachOf } from './tenant-scan.ts';
import {
  listWebhooks,
  SEARCHED_COLUMNS,
  SHOWN_WEBHOOK,
  searchLimits,
  type Webhook,
  type WebhookSearch,
  webhookConditions,
} from './webhooks.ts';
import { readByWindows, type Window } from './windows.sql.ts';

/** While a page has room and this time is not over, more rows are read for it. */
const MAX_SEARCH_MS = 150;
const BEFORE_SUBSCRIPTIONS = '0';
const LAST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff';
/** A position after every attempt, in the year 9999. */
const AFTER_ATTEMPTS = ['253402300799000000', '0'];

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
      return await byDelivery(pool, search, limit, after);
    case 'attempts':
      return await byAttempt(pool, search, limit, after);
  }
}

function timeOf(through: Through, [first = '']: readonly string[]): Date {
  return new Date(through === 'attempts' ? Number(first) / 1000 : msOfId(first));
}

/**
 * Finds webhooks by one of their deliveries. The deliveries are read in the order of their webhooks: all, those of a
 * subscription, or those of each subscription of the tenant.
 */
async function byDelivery(
  pool: pg.Pool,
  search: WebhookSearch,
  limit: number,
  after: readonly string[] | undefined,
): Promise<Found<Webhook>> {
  const way = await findWay(pool, search);
  const { webhookId, state, since, until } = search;
  if (webhookId !== undefined)
    return await deliveriesIn(pool, search, way, EVERYWHERE, limit, after);
  if (state === 'pending' || state === 'held') {
    const ids = await readLiveHistory(pool);
    const named = (name: string) => `${name} ${ids.key}`;
    return await deliveriesIn(pool, search, way, { ids, named }, limit, after);
  }
  return await readByWindows<Webhook>(pool, {
    start: after === undefined ? until : new Date(msOfId(after[0] as string) + 1),
    since,
    limit,
    after,
    read: (window, most, from) => deliveriesIn(pool, search, way, window, most, from),
    positionAt: (time) => [floorOf(time), BEFORE_SUBSCRIPTIONS],
  });
}

/** How the rows of a search are read. */
interface Way {
  /** Of all subscriptions. */
  readonly isWide: boolean;
  readonly reach: Reach;
  readonly scan: number;
}

async function findWay(pool: pg.Pool, search: WebhookSearch): Promise<Way> {
  const { scan } = searchLimits(search, SCAN_JOINED_ROWS);
  const isWide = search.subscriptionId === undefined && search.webhookId === undefined;
  return isWide
    ? { isWide, ...(await reachOf(pool, search.tenant, 0, scan)) }
    : { isWide, reach: 'all', scan };
}

type Part = Pick<Window, 'ids' | 'named'>;
/** For a search by id, which names the partition. */
const EVERYWHERE: Part = {
  ids: historyIn([{ from: null, below: null }]),
  named: () => undefined,
};

/** Reads a page, or what a part of history has of it. */
async function deliveriesIn(
  pool: pg.Pool,
  search: WebhookSearch,
  { isWide, reach, scan }: Way,
  { ids, named }: Part,
  limit: number,
  after: readonly string[] | undefined,
): Promise<Found<Webhook>> {
  const { tenant, webhookId, subscriptionId, state, bodyPath, since, until } = search;
  const limits = searchLimits(search, SCAN_JOINED_ROWS);
  const p = createParameters();
  // Written exactly as the conditions of the indexes.
  const [kind, only] =
    state === 'failed' || state === 'cancelled'
      ? ['unsuccessful', `d.state in ('failed', 'cancelled')`]
      : state === 'held' && !(isWide && reach === 'all')
        ? ['held', `d.state = 'held'`]
        : ['all', 'true'];
  const [webhook, subscription] = after ?? [
    until === undefined ? LAST_ID : floorOf(until),
    BEFORE_SUBSCRIPTIONS,
  ];
  const last = p.add(webhook, 'uuid');
  const where = [
    only,
    ids.where('d.webhook_id'),
    // The first condition is implied by the second, but it lets Postgres leave out newer partitions.
    `d.webhook_id <= ${last} and (d.webhook_id, d.subscription_id) < (${last}, ${p.add(subscription, 'integer')})`,
    `d.webhook_id >= posthorn.uuidv7_floor(${p.add(since ?? '-infinity', 'timestamptz')})`,
  ];
  if (webhookId !== undefined) where.push(`d.webhook_id = ${uuidConstant(webhookId)}`);
  if (subscriptionId !== undefined)
    where.push(`d.subscription_id = ${p.add(subscriptionId, 'integer')}`);
  const order = 'webhook_id desc, subscription_id desc';
  const found = await readPage<Webhook & { subscription_id: number }>(pool, {
    name: named(
      `search deliveries ${[kindOf(subscriptionId, reach), kind, bodyPath === undefined ? 'fields' : 'body'].join(' ')}`,
    ),
    rows: withWebhooks(
      mergedRows(
        p,
        isWide && reach === 'subscriptions' ? tenant : undefined,
        `select d.webhook_id, d.subscription_id, d.state from posthorn.deliveries d
         where ${where.join(' and ')}`,
        'd.subscription_id',
        order,
      ),
      's.webhook_id, s.subscription_id, s.state',
      order,
      ids,
    ),
    joins: '',
    shown: `${SHOWN_WEBHOOK}, r.subscription_id`,
    where: [
      p.whereGiven(state, 'posthorn.delivery_state', (name) => `r.state = ${name}`),
      ...webhookConditions(p, search),
    ],
    whereJoined: [],
    order,
    position: 'array[r.webhook_id::text, r.subscription_id::text]',
    values: p.values,
    limit,
    ...limits,
    scan,
  });
  const rows = found.rows
    .filter(({ webhook_id }, index) => found.rows[index - 1]?.webhook_id !== webhook_id)
    .map(({ subscription_id, ...row }) => row);
  // The webhook at the end of the page must not begin the next one.
  const isShown = found.next?.[0] === rows.at(-1)?.webhook_id;
  return {
    rows,
    next:
      found.next !== null && isShown ? [found.next[0] as string, BEFORE_SUBSCRIPTIONS] : found.next,
  };
}

/**
 * Finds webhooks by the code of an attempt, each at its newest such attempt. Few attempts have an error, and there are
 * indexes of these.
 */
async function byAttempt(
  pool: pg.Pool,
  search: WebhookSearch,
  limit: number,
  after: readonly string[] | undefined,
): Promise<Found<Webhook>> {
  const way = await findWay(pool, search);
  if (search.webhookId !== undefined)
    return await attemptsIn(pool, search, way, { ...EVERYWHERE, fromAt: null }, limit, after);
  return await readByWindows<Webhook>(pool, {
    start: after === undefined ? undefined : timeAfter(after),
    since: search.since,
    limit,
    after,
    read: async ({ fromAt, ofAttempts, named }, most, from) =>
      attemptsIn(pool, search, way, { fromAt, named, ids: await ofAttempts() }, most, from),
    positionAt: attemptsBefore,
  });
}

/** Reads a page, or what the attempts from a time on have of it. */
async function attemptsIn(
  pool: pg.Pool,
  search: WebhookSearch,
  { isWide, reach, scan }: Way,
  { ids, named, fromAt }: Part & Pick<Window, 'fromAt'>,
  limit: number,
  after: readonly string[] | undefined,
): Promise<Found<Webhook>> {
  const { tenant, webhookId, subscriptionId, bodyPath, since, until } = search;
  const limits = searchLimits(search, SCAN_JOINED_ROWS);
  const p = createParameters();
  const [at, id] = after ?? AFTER_ATTEMPTS;
  const last = momentOf(p.add(at, 'bigint'));
  // Written exactly as the condition of the indexes.
  const only = isUnsuccessful(search) ? `a.status <> 'success'` : 'true';
  const from = p.add(since ?? '-infinity', 'timestamptz');
  const where = [
    only,
    ids.where('a.webhook_id'),
    `a.at >= ${p.add(fromAt ?? '-infinity', 'timestamptz')}`,
    `(a.at, a.id) < (${last}, ${p.add(id, 'bigint')})`,
    // No attempt is older than its webhook. The minute allows for a different clock after a failover.
    `a.at >= ${from} - interval '1 minute'`,
    `a.webhook_id >= posthorn.uuidv7_floor(${from})`,
    `a.webhook_id < posthorn.uuidv7_floor(least(${last} + interval '1 minute', ${p.add(until ?? 'infinity', 'timestamptz')}))`,
  ];
  if (webhookId !== undefined) where.push(`a.webhook_id = ${uuidConstant(webhookId)}`);
  if (subscriptionId !== undefined)
    where.push(`a.subscription_id = ${p.add(subscriptionId, 'integer')}`);
  const order = 'at desc, id desc';
  const matches = attemptCondition(p, search, ids);
  return await readPage<Webhook>(pool, {
    name: named(
      `search attempts ${[kindOf(subscriptionId, reach), only === 'true' ? 'all' : 'unsuccessful', bodyPath === undefined ? 'fields' : 'body', ids.key].join(' ')}`,
    ),
    rows: withWebhooks(
      mergedRows(
        p,
        isWide && reach === 'subscriptions' ? tenant : undefined,
        `select a.id, a.at, a.webhook_id, a.subscription_id, a.response_code, a.error_code
         from posthorn.delivery_attempts a
         where ${where.join(' and ')}`,
        'a.subscription_id',
        order,
      ),
      's.id as attempt, s.at, s.webhook_id, s.subscription_id, s.response_code, s.error_code',
      's.at desc, s.id desc',
      ids,
    ),
    joins: '',
    shown: SHOWN_WEBHOOK,
    where: [
      matches('r'),
      `not exists (
         select from posthorn.delivery_attempts later
         where later.webhook_id = r.webhook_id and ${ids.where('later.webhook_id')}
           and (later.at, later.id) > (r.at, r.attempt) and ${matches('later')})`,
      ...webhookConditions(p, search),
    ],
    whereJoined: [],
    order: 'at desc, attempt desc',
    position: `array[${microsecondsOf('r.at')}, r.attempt::text]`,
    values: p.values,
    limit,
    ...limits,
    scan,
  });
}

/** The condition on an attempt: its own codes, its subscription, and the state of its delivery. */
function attemptCondition(
  p: Parameters,
  { subscriptionId, state, responseCode, errorCode }: WebhookSearch,
  ids: LiveHistory,
): (attempt: string) => string {
  const ofSubscription = p.add(subscriptionId ?? null, 'integer');
  const ofState = p.add(state ?? null, 'posthorn.delivery_state');
  const ofResponse = p.add(responseCode ?? null, 'integer');
  const ofError = p.add(errorCode ?? null, 'text');
  return (attempt) => `(${ofSubscription} is null or ${attempt}.subscription_id = ${ofSubscription})
    and (${ofResponse} is null or ${attempt}.response_code = ${ofResponse})
    and (${ofError} is null or ${attempt}.error_code = ${ofError})
    and (${ofState} is null or exists (
      select from posthorn.deliveries d
      where d.webhook_id = ${attempt}.webhook_id and ${ids.where('d.webhook_id')} and d.subscription_id = ${attempt}.subscription_id
        and d.state = ${ofState}))`;
}

/** SQL that adds the webhook to each of at most `$1` rows. */
function withWebhooks(
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

function kindOf(subscriptionId: number | undefined, reach: 'all' | 'subscriptions'): string {
  return subscriptionId === undefined ? reach : 'subscription';
}
