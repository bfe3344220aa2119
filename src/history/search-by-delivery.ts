import type pg from 'pg';
import { readLiveHistory } from '../db/live-history.ts';
import { floorOf, msOfId } from '../db/uuidv7.ts';
import { createParameters, type Found, readPage, SCAN_JOINED_ROWS, uuidConstant } from './scan.ts';
import { EVERYWHERE, findWay, kindOf, type Part, type Way, withWebhooks } from './search-rows.ts';
import { mergedRows } from './tenant-scan.ts';
import {
  SHOWN_WEBHOOK,
  searchLimits,
  type Webhook,
  type WebhookSearch,
  webhookConditions,
} from './webhooks.ts';
import { readByWindows } from './windows.sql.ts';

const BEFORE_SUBSCRIPTIONS = '0';
const LAST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/**
 * Finds webhooks by one of their deliveries. The deliveries are read in the order of their webhooks: all, those of a
 * subscription, or those of each subscription of the tenant.
 */
export async function searchByDelivery(
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
    `d.webhook_id >= (select posthorn.uuidv7_floor(${p.add(since ?? '-infinity', 'timestamptz')}))`,
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
