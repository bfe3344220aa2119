import type pg from 'pg';
import { historyIn } from '../db/live-history.ts';
import type { DeliveryState } from '../db/types.ts';
import { floorOf, msOfId } from '../db/uuidv7.ts';
import { DEFAULT_TENANT } from '../tenants/default.ts';
import {
  createParameters,
  type Found,
  type Parameters,
  readPage,
  SCAN_ROWS,
  uuidConstant,
} from './scan.ts';
import { readByWindows, type Window } from './windows.sql.ts';

/** A webhook as in the API, without its body. */
export interface Webhook {
  readonly webhook_id: string;
  readonly accepted_at: Date;
  /** Null: it was delivered at once. */
  readonly deliver_at: Date | null;
  readonly event_type: string | null;
  readonly content_type: string;
  /** The size of the body; null: it is deleted. */
  readonly bytes: number | null;
  readonly body_expired: boolean;
}

/** The filters of a search for webhooks; filters that are undefined do not apply. */
export interface WebhookSearch {
  readonly tenant: string;
  readonly webhookId?: string | undefined;
  readonly eventType?: string | undefined;
  /** One of its channels. */
  readonly channel?: string | undefined;
  readonly orderingKey?: string | undefined;
  /** A JSON path on the data, valid by `filterProblem`. */
  readonly bodyPath?: string | undefined;
  /** Accepted at or after this time. */
  readonly since?: Date | undefined;
  /** Accepted before this time. */
  readonly until?: Date | undefined;
  /** These are about one delivery of the webhook. */
  readonly subscriptionId?: number | undefined;
  readonly state?: DeliveryState | undefined;
  /** These are about one attempt of the delivery. */
  readonly responseCode?: number | undefined;
  readonly errorCode?: string | undefined;
}

const ORDER = 'id desc';
const START = ['ffffffff-ffff-ffff-ffff-ffffffffffff'];

/** Rows that are searched by their bodies for a page, and the bytes of these bodies. */
const SCAN_BODIES = 500;
const SCAN_BODY_BYTES = 2 * 1024 * 1024;
/** A larger body is not searched. */
const MAX_BODY_BYTES = 1024 * 1024;

/** The columns of webhooks, as `w`, by which they are searched. */
export const SEARCHED_COLUMNS = `w.id, w.accepted_at, w.deliver_at, w.tenant, w.event_type, w.content_type, w.channels,
  w.ordering_key, w.body`;
export const SHOWN_WEBHOOK = `r.id as webhook_id, r.accepted_at, r.deliver_at, r.event_type, r.content_type,
  length(r.body) as bytes, r.body is null as body_expired`;

/** Conditions on a row with `SEARCHED_COLUMNS`, the costly one last. */
export function webhookConditions(p: Parameters, search: WebhookSearch): string[] {
  const { tenant, eventType, channel, orderingKey, bodyPath } = search;
  return [
    `r.tenant = ${p.add(tenant, 'text')}`,
    p.whereGiven(eventType, 'text', (type) => `r.event_type = ${type}`),
    p.whereGiven(channel, 'text', (name) => `${name} = any(r.channels)`),
    p.whereGiven(orderingKey, 'text', (key) => `r.ordering_key = ${key}`),
    ...(bodyPath === undefined
      ? []
      : [
          // The conditions of a WHERE have no order, but CASE has.
          `case when length(r.body) <= ${MAX_BODY_BYTES} then coalesce(jsonb_path_exists(
             posthorn.webhook_data(r.body, r.event_type), posthorn.filter_test(${p.add(bodyPath, 'jsonpath')}),
             '{}', true), false) else false end`,
        ]),
  ];
}

/** How many rows may be read for a page, and how many bytes of bodies. */
export function searchLimits({ bodyPath }: WebhookSearch, rows: number) {
  return bodyPath === undefined
    ? { scan: rows }
    : {
        scan: Math.min(rows, SCAN_BODIES),
        weight: {
          of: `case when length(read.body) <= ${MAX_BODY_BYTES} then length(read.body) else 0 end`,
          most: SCAN_BODY_BYTES,
        },
      };
}

/**
 * Lists a page of webhooks, the newest first, by what they are themselves.
 *
 * @param after the position at which the page before ended.
 */
export async function listWebhooks(
  pool: pg.Pool,
  search: WebhookSearch,
  limit: number,
  after: readonly string[] | undefined,
): Promise<Found<Webhook>> {
  if (search.webhookId !== undefined)
    return await readIn(
      pool,
      search,
      { ids: historyIn([{ from: null, below: null }]), named: () => undefined },
      limit,
      after,
    );
  return await readByWindows<Webhook>(pool, {
    start: after === undefined ? search.until : new Date(msOfId(after[0] as string) + 1),
    since: search.since,
    limit,
    after,
    read: (window, most, from) => readIn(pool, search, window, most, from),
    positionAt: (time) => [floorOf(time)],
  });
}

/** Reads a page, or what a window has of it. */
async function readIn(
  pool: pg.Pool,
  search: WebhookSearch,
  { ids, named }: Pick<Window, 'ids' | 'named'>,
  limit: number,
  after: readonly string[] | undefined,
): Promise<Found<Webhook>> {
  const { tenant, webhookId, bodyPath, since, until } = search;
  const p = createParameters();
  const where = [
    ids.where('w.id'),
    `w.id < ${p.add((after ?? START)[0], 'uuid')}`,
    `w.id >= posthorn.uuidv7_floor(${p.add(since ?? '-infinity', 'timestamptz')})`,
    `w.id < posthorn.uuidv7_floor(${p.add(until ?? 'infinity', 'timestamptz')})`,
  ];
  if (webhookId !== undefined) where.push(`w.id = ${uuidConstant(webhookId)}`);
  // The index by tenant leaves out the default tenant, whose webhooks are usually most of all or few.
  if (tenant !== DEFAULT_TENANT)
    where.push(`w.tenant = ${p.add(tenant, 'text')} and w.tenant <> '${DEFAULT_TENANT}'`);
  const of = tenant === DEFAULT_TENANT ? 'default' : 'tenant';
  return await readPage<Webhook>(pool, {
    name: named(`webhooks ${of} ${bodyPath === undefined ? 'by fields' : 'by body'}`),
    rows: `
      select ${SEARCHED_COLUMNS}
      from posthorn.webhook_payloads w
      where ${where.join(' and ')}
      order by ${ORDER}`,
    joins: '',
    shown: SHOWN_WEBHOOK,
    where: webhookConditions(p, search),
    whereJoined: [],
    order: ORDER,
    position: 'array[r.id::text]',
    values: p.values,
    limit,
    ...searchLimits(search, SCAN_ROWS),
  });
}
