import type pg from 'pg';
import type { LiveHistory } from '../db/live-history.ts';
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
import { EVERYWHERE, findWay, kindOf, type Part, type Way, withWebhooks } from './search-rows.ts';
import { mergedRows } from './tenant-scan.ts';
import {
  SHOWN_WEBHOOK,
  searchLimits,
  type Webhook,
  type WebhookSearch,
  webhookConditions,
} from './webhooks.ts';
import { readByWindows, type Window } from './windows.sql.ts';

/** A position after every attempt, in the year 9999. */
const AFTER_ATTEMPTS = ['253402300799000000', '0'];

/**
 * Finds webhooks by the code of an attempt, each at its newest such attempt. Few attempts have an error, and there are
 * indexes of these.
 */
export async function searchByAttempt(
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
    `a.webhook_id >= (select posthorn.uuidv7_floor(${from}))`,
    `a.webhook_id < (select posthorn.uuidv7_floor(least(${last} + interval '1 minute', ${p.add(until ?? 'infinity', 'timestamptz')})))`,
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
