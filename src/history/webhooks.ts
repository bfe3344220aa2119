import type pg from 'pg';
import { DEFAULT_TENANT } from '../tenants/store.ts';
import { createParameters, type Found, readPage, SCAN_ROWS } from './scan.ts';

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

/** The filters of a list of webhooks; filters that are undefined do not apply. */
interface WebhookFilter {
  readonly tenant: string;
  readonly eventType?: string | undefined;
  /** Accepted at or after this time. */
  readonly since?: Date | undefined;
  /** Accepted before this time. */
  readonly until?: Date | undefined;
}

const ORDER = 'id desc';
const POSITION = 'array[r.id::text]';
const START = ['ffffffff-ffff-ffff-ffff-ffffffffffff'];

/**
 * Lists a page of webhooks, the newest first.
 *
 * @param after the position at which the page before ended.
 */
export async function listWebhooks(
  pool: pg.Pool,
  { tenant, eventType, since, until }: WebhookFilter,
  limit: number,
  after: readonly string[] | undefined,
): Promise<Found<Webhook>> {
  const p = createParameters();
  const where = [
    `w.id < ${p.add((after ?? START)[0], 'uuid')}`,
    `w.id >= posthorn.uuidv7_floor(${p.add(since ?? '-infinity', 'timestamptz')})`,
    `w.id < posthorn.uuidv7_floor(${p.add(until ?? 'infinity', 'timestamptz')})`,
  ];
  // The index by tenant leaves out the default tenant, whose webhooks are usually most of all or few.
  if (tenant !== DEFAULT_TENANT)
    where.push(`w.tenant = ${p.add(tenant, 'text')} and w.tenant <> '${DEFAULT_TENANT}'`);
  return await readPage<Webhook>(pool, {
    name: `webhooks ${tenant === DEFAULT_TENANT ? 'default' : 'tenant'}`,
    rows: `
      select w.id, w.accepted_at, w.deliver_at, w.tenant, w.event_type, w.content_type, w.body
      from posthorn.webhook_payloads w
      where ${where.join(' and ')}
      order by ${ORDER}`,
    joins: '',
    shown: `r.id as webhook_id, r.accepted_at, r.deliver_at, r.event_type, r.content_type,
        length(r.body) as bytes, r.body is null as body_expired`,
    where: [
      `r.tenant = ${p.add(tenant, 'text')}`,
      p.whereGiven(eventType, 'text', (type) => `r.event_type = ${type}`),
    ],
    whereJoined: [],
    order: ORDER,
    position: POSITION,
    values: p.values,
    limit,
    scan: SCAN_ROWS,
  });
}
