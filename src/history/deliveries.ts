import type pg from 'pg';
import { historyIn, type LiveHistory, readLiveHistory } from '../db/live-history.ts';
import type { DeliveryState } from '../db/types.ts';
import { floorOf, msOfId } from '../db/uuidv7.ts';
import {
  createParameters,
  type Found,
  microsecondsOf,
  momentOf,
  readPage,
  SCAN_JOINED_ROWS,
  SCAN_ROWS,
  uuidConstant,
} from './scan.ts';
import { firstRows, isSampled, type Reach, reachOf } from './tenant-scan.ts';
import { readByWindows } from './windows.sql.ts';

/** A delivery as in the API. */
export interface Delivery {
  readonly webhook_id: string;
  readonly subscription_id: number;
  readonly subscription_url: string | null;
  readonly event_type: string | null;
  readonly state: DeliveryState;
  /** Why it ended, if no attempt says so. */
  readonly reason: string | null;
  readonly attempts_made: number;
  readonly next_attempt_at: Date | null;
  readonly ended_at: Date | null;
  /** True: the body is deleted, so the webhook cannot be sent again. */
  readonly body_expired: boolean;
}

/** The filters of a list of deliveries; filters that are undefined do not apply. */
interface DeliveryFilter {
  readonly tenant: string;
  readonly webhookId?: string | undefined;
  readonly subscriptionId?: number | undefined;
  readonly state?: DeliveryState | undefined;
  readonly eventType?: string | undefined;
  /** The webhook was accepted at or after this time. */
  readonly since?: Date | undefined;
  /** The webhook was accepted before this time. */
  readonly until?: Date | undefined;
}

const COLUMNS =
  'd.webhook_id, d.subscription_id, d.state, d.reason, d.attempt_count, d.next_attempt_at, d.ended_at';
const SHOWN = `
  r.webhook_id, r.subscription_id, s.url as subscription_url, p.event_type, r.state, r.reason,
  r.attempt_count as attempts_made, r.next_attempt_at, r.ended_at, p.body is null as body_expired`;
const BY_AGE = {
  order: 'webhook_id desc, subscription_id desc',
  position: 'array[r.webhook_id::text, r.subscription_id::text]',
  /** After every id: where such a list begins. */
  start: ['ffffffff-ffff-ffff-ffff-ffffffffffff', '0'],
};
const BY_DUE = {
  order: 'next_attempt_at, webhook_id, subscription_id',
  position: `array[${microsecondsOf('r.next_attempt_at')}, r.webhook_id::text, r.subscription_id::text]`,
  start: ['0', '00000000-0000-0000-0000-000000000000', '0'],
};

/** Returns true if the list is ordered by due time, the soonest first, instead of by age. */
export function isListedByDue({ state, webhookId }: Partial<DeliveryFilter>): boolean {
  return webhookId === undefined && (state === 'pending' || state === 'held');
}

/**
 * Lists a page of deliveries: those of the newest webhooks first, but pending and held ones by due time. These
 * are the orders of the indexes.
 *
 * @param after the position at which the page before ended.
 */
export async function listDeliveries(
  pool: pg.Pool,
  filter: DeliveryFilter,
  limit: number,
  after: readonly string[] | undefined,
): Promise<Found<Delivery>> {
  const { tenant, webhookId, subscriptionId, eventType } = filter;
  const byDue = isListedByDue(filter);
  const by = byDue
    ? 'due'
    : webhookId !== undefined
      ? 'webhook'
      : subscriptionId !== undefined
        ? 'subscription'
        : 'tenant';
  const most = eventType === undefined ? SCAN_ROWS : SCAN_JOINED_ROWS;
  const { reach, scan, own } =
    by === 'tenant'
      ? await reachOf(pool, tenant, limit, most)
      : { reach: 'all' as const, scan: most, own: 0 };
  const page = { filter, by, reach, scan, own } as const;
  if (webhookId !== undefined)
    return await readIn(
      pool,
      page,
      historyIn([{ from: null, below: null }]),
      unnamed,
      limit,
      after,
    );
  if (byDue) {
    const live = await readLiveHistory(pool);
    return await readIn(pool, page, live, (name) => `${name} ${live.key}`, limit, after);
  }
  const start = after === undefined ? filter.until : new Date(msOfId(after[0] as string) + 1);
  return await readByWindows<Delivery>(pool, {
    start,
    since: filter.since,
    limit,
    after,
    read: ({ ids, named }, most, from) => readIn(pool, page, ids, named, most, from),
    positionAt: (time) => [floorOf(time), '0'],
  });
}

const unnamed = () => undefined;

interface Page {
  readonly filter: DeliveryFilter;
  readonly by: 'due' | 'webhook' | 'subscription' | 'tenant';
  readonly reach: Reach;
  readonly scan: number;
  /** The number of subscriptions that the rows are merged from. */
  readonly own: number;
}

/** Reads a page, or what a part of history has of it. */
async function readIn(
  pool: pg.Pool,
  { filter, by, reach, scan, own }: Page,
  part: LiveHistory,
  named: (name: string) => string | undefined,
  limit: number,
  after: readonly string[] | undefined,
): Promise<Found<Delivery>> {
  const { tenant, webhookId, subscriptionId, state, eventType } = filter;
  const byDue = by === 'due';
  const { order, position, start } = byDue ? BY_DUE : BY_AGE;
  const p = createParameters();
  // Written exactly as the conditions of the indexes.
  const only = byDue
    ? `d.state in ('pending', 'held') and d.state = ${p.add(state, 'posthorn.delivery_state')}`
    : state === 'failed' || state === 'cancelled'
      ? `d.state in ('failed', 'cancelled')`
      : 'true';

  const ofWebhook = webhookId === undefined ? undefined : uuidConstant(webhookId);
  // A first page begins at `until`: an index scan from the newest row would read all newer rows (measured:
  // 24 ms instead of 3 on days of a third of a million).
  const first = !byDue && filter.until !== undefined ? [floorOf(filter.until), '0'] : start;
  const places = (after ?? first).map((value, index) =>
    p.add(value, (byDue ? ['bigint', 'uuid', 'integer'] : ['uuid', 'integer'])[index] as string),
  );
  const where = [
    only,
    part.where('d.webhook_id'),
    byDue
      ? `(d.next_attempt_at, d.webhook_id, d.subscription_id) > (${momentOf(places[0] as string)}, ${places[1]}, ${places[2]})`
      : // The first condition is implied by the second, but it lets Postgres leave out newer partitions.
        `d.webhook_id <= ${places[0]} and (d.webhook_id, d.subscription_id) < (${places[0]}, ${places[1]})`,
    `d.webhook_id >= (select posthorn.uuidv7_floor(${p.add(filter.since ?? '-infinity', 'timestamptz')}))`,
    `d.webhook_id < (select posthorn.uuidv7_floor(${p.add(filter.until ?? 'infinity', 'timestamptz')}))`,
  ];
  if (ofWebhook !== undefined) where.push(`d.webhook_id = ${ofWebhook}`);
  if (by === 'subscription') where.push(`d.subscription_id = ${p.add(subscriptionId, 'integer')}`);
  const matching = (columns = COLUMNS, also = '') =>
    `select ${columns} from posthorn.deliveries d where ${where.join(' and ')} ${also}`;
  const rows =
    reach === 'all'
      ? `${matching()} order by ${order}`
      : firstRows(p, {
          tenant,
          own,
          scan,
          matching,
          subscription: 'd.subscription_id',
          order,
          key: 'd.webhook_id',
          least: uuidConstant('00000000-0000-0000-0000-000000000000'),
        });

  return await readPage<Delivery>(pool, {
    name: named(
      [
        'deliveries',
        by,
        isSampled(own) ? 'sampled' : reach,
        only === 'true' ? '' : 'unsuccessful',
      ].join(' '),
    ),
    rows,
    joins: `
      join posthorn.subscriptions s on s.id = r.subscription_id
      join posthorn.webhook_payloads p on p.id = ${ofWebhook ?? 'r.webhook_id'}
        and ${part.where('p.id')}`,
    shown: SHOWN,
    where: [
      p.whereGiven(subscriptionId, 'integer', (id) => `r.subscription_id = ${id}`),
      p.whereGiven(state, 'posthorn.delivery_state', (name) => `r.state = ${name}`),
    ],
    whereJoined: [
      `s.tenant = ${p.add(tenant, 'text')}`,
      p.whereGiven(eventType, 'text', (type) => `p.event_type = ${type}`),
    ],
    order,
    position,
    values: p.values,
    limit,
    scan,
  });
}

/** Returns a delivery of the tenant, or undefined. */
export async function getDelivery(
  pool: pg.Pool,
  tenant: string,
  webhookId: string,
  subscriptionId: number,
): Promise<Delivery | undefined> {
  const { rows } = await listDeliveries(pool, { tenant, webhookId, subscriptionId }, 1, undefined);
  return rows[0];
}
