import type pg from 'pg';
import { historyIn, type LiveHistory, readLiveHistory } from '../db/live-history.ts';
import type { DeliveryState } from '../db/types.ts';
import { floorOf, msOfId } from '../db/uuidv7.ts';
import { DEFAULT_TENANT } from '../tenants/default.ts';
import type { Attempt } from './attempts.ts';
import type { Delivery } from './deliveries.ts';
import { type Position, positionBefore } from './position.ts';
import { createParameters, type Found, microsecondsOf, momentOf, readPage } from './scan.ts';
import { mergedRows, reachOf } from './tenant-scan.ts';
import type { Webhook } from './webhooks.ts';

const DAY_MS = 86_400_000;

interface OfTenant {
  readonly tenant: string;
}
type AcceptedRow = Webhook & OfTenant;
/** A delivery as it is now: soon after its webhook was accepted, it usually has no attempt. */
type DeliveryRow = Delivery & AcceptedRow;
/** An attempt, and its delivery as it is now. */
interface AttemptRow extends Attempt, OfTenant {
  /** When it ended, in microseconds since 1970. */
  readonly at_us: number;
  readonly subscription_url: string | null;
  readonly state: DeliveryState;
  readonly reason: string | null;
  readonly attempts_made: number;
  readonly next_attempt_at: Date | null;
  readonly ended_at: Date | null;
  readonly body_expired: boolean;
}

/** What happened between two positions. */
export interface Changes {
  readonly webhooks: readonly AcceptedRow[];
  readonly deliveries: readonly DeliveryRow[];
  readonly attempts: readonly AttemptRow[];
  /** Up to here all changes are in this part. */
  readonly position: Position;
  /** True: this is the position that was asked for. False: there may be more. */
  readonly complete: boolean;
}

interface Wanted {
  readonly tenants: readonly string[];
  /** Deliveries to these subscriptions are returned even if they have attempts. */
  readonly subscriptionIds: readonly number[];
  /** The most rows to read of each kind, whether they belong to the tenants or not. */
  readonly rows: number;
}

/** Up to when all is committed, by a statement of that moment. */
export interface Watermark {
  /** All webhooks that were accepted, and all attempts that ended, before this time are committed. In ms since 1970. */
  readonly committedBeforeMs: number;
  /** Two equal snapshots see the same rows. */
  readonly snapshot: string;
}

/** Reads up to when all is committed. It is soon outdated, but stays true. */
export async function readWatermark(pool: pg.Pool): Promise<Watermark> {
  const { rows } = await pool.query<{ before: string; snapshot: string }>({
    name: 'stream-watermark',
    text: 'select posthorn.committed_before() as before, pg_current_snapshot()::text as snapshot',
  });
  const { before = '0', snapshot = '' } = rows[0] ?? {};
  return { committedBeforeMs: msOfId(before), snapshot };
}

/** Lets a later watermark pass this moment, while other transactions write. */
export async function markCommits(pool: pg.Pool): Promise<void> {
  await pool.query({ name: 'mark-commits', text: 'select posthorn.mark_commits()' });
}

/**
 * Reads what happened after one position up to another one, the oldest first: webhooks that were accepted, their new
 * deliveries, and attempts. Up to the watermark this is the same at all times, because no transaction can add to it.
 *
 * Three statements, each in the order of an index and over a limited number of rows. If one of them stops early, the
 * others are cut at its time, so that an attempt does not come before its webhook.
 */
export async function readChanges(
  pool: pg.Pool,
  wanted: Wanted,
  from: Position,
  to: Position,
): Promise<Changes> {
  const [tenant] = wanted.tenants;
  if (tenant === undefined)
    return { webhooks: [], deliveries: [], attempts: [], position: to, complete: true };
  // Rows of a single tenant may be few among those of others.
  const { reach, scan } =
    wanted.tenants.length === 1
      ? await reachOf(pool, tenant, 0, wanted.rows)
      : { reach: 'all' as const, scan: wanted.rows };
  const span: Span = {
    ...wanted,
    from,
    to,
    scan,
    merged: reach === 'all' ? undefined : tenant,
    // By whole days, so that the statements stay the same for a day.
    accepted: historyIn([{ from: floorOf(dayOf(msOfId(least(from)))), below: null }]),
    // After the watermark was read, so no attempt up to it is missing.
    attempted: await readLiveHistory(pool, dayOf(from.attemptAt / 1000)),
  };
  const webhooks = await readAccepted(pool, span);
  const deliveries = await readDeliveries(pool, span);
  const attempts = await readAttempts(pool, span);

  const stops = [
    usOfId(webhooks.next?.[0]),
    usOfId(deliveries.next?.[0]),
    Number(attempts.next?.[0] ?? Number.POSITIVE_INFINITY),
  ];
  const reached = Math.min(...stops);
  if (reached === Number.POSITIVE_INFINITY)
    return {
      webhooks: webhooks.rows,
      deliveries: deliveries.rows,
      attempts: attempts.rows,
      position: to,
      complete: true,
    };
  const before = positionBefore(reached);
  const [ofWebhooks, ofDeliveries, ofAttempts] = stops.map((stop) => stop === reached);
  return {
    webhooks: ofWebhooks
      ? webhooks.rows
      : webhooks.rows.filter((row) => row.webhook_id <= before.webhook),
    deliveries: ofDeliveries
      ? deliveries.rows
      : deliveries.rows.filter((row) => row.webhook_id <= before.deliveryOf),
    attempts: ofAttempts
      ? attempts.rows
      : attempts.rows.filter((row) => row.at_us <= before.attemptAt),
    position: {
      ...from,
      // A place never goes back: the others may have stopped in the same millisecond the last time.
      ...(ofWebhooks
        ? { webhook: webhooks.next?.[0] as string }
        : before.webhook > from.webhook
          ? { webhook: before.webhook }
          : {}),
      ...(ofDeliveries
        ? {
            deliveryOf: deliveries.next?.[0] as string,
            deliveryTo: Number(deliveries.next?.[1]),
            deliveryOpen: false,
          }
        : before.deliveryOf > from.deliveryOf
          ? placeOfDeliveries(before)
          : {}),
      ...(ofAttempts
        ? {
            attemptAt: Number(attempts.next?.[0]),
            attempt: attempts.next?.[1] as string,
            attemptOpen: false,
          }
        : before.attemptAt > from.attemptAt
          ? placeOfAttempts(before)
          : {}),
    },
    complete: false,
  };
}

function usOfId(id: string | undefined): number {
  return id === undefined ? Number.POSITIVE_INFINITY : msOfId(id) * 1000;
}

function placeOfDeliveries({ deliveryOf, deliveryTo, deliveryOpen }: Position) {
  return { deliveryOf, deliveryTo, deliveryOpen };
}

function placeOfAttempts({ attemptAt, attempt, attemptOpen }: Position) {
  return { attemptAt, attempt, attemptOpen };
}

interface Span extends Wanted {
  readonly from: Position;
  readonly to: Position;
  /** The most rows to read, or of each subscription where they are merged. */
  readonly scan: number;
  /** The tenant whose rows are merged from those of its subscriptions; undefined: all rows are searched. */
  readonly merged: string | undefined;
  /** The webhooks that were accepted in the span, and those with attempts in it. */
  readonly accepted: LiveHistory;
  readonly attempted: LiveHistory;
}

function least({ webhook, deliveryOf }: Position): string {
  return webhook < deliveryOf ? webhook : deliveryOf;
}

function dayOf(ms: number): Date {
  return new Date(Math.floor(ms / DAY_MS) * DAY_MS);
}

const DELIVERY = `s.url as subscription_url, p.event_type, p.body is null as body_expired, s.tenant`;

/** By the primary key, or for a single tenant by the index of its webhooks. */
async function readAccepted(
  pool: pg.Pool,
  { tenants, from, to, scan, accepted }: Span,
): Promise<Found<AcceptedRow>> {
  const p = createParameters();
  const where = [
    accepted.where('w.id'),
    `w.id > ${p.add(from.webhook, 'uuid')}`,
    `w.id <= ${p.add(to.webhook, 'uuid')}`,
  ];
  const [tenant] = tenants;
  const own = tenants.length === 1 && tenant !== DEFAULT_TENANT;
  if (own) where.push(`w.tenant = ${p.add(tenant, 'text')} and w.tenant <> '${DEFAULT_TENANT}'`);
  return await readPage<AcceptedRow>(pool, {
    name: `stream webhooks ${own ? 'tenant' : 'all'} ${accepted.key}`,
    rows: `
      select w.id, w.accepted_at, w.deliver_at, w.tenant, w.event_type, w.content_type, w.body
      from posthorn.webhook_payloads w
      where ${where.join(' and ')}
      order by id`,
    joins: '',
    shown: `r.id as webhook_id, r.accepted_at, r.deliver_at, r.event_type, r.content_type,
      length(r.body) as bytes, r.body is null as body_expired, r.tenant`,
    where: [`r.tenant = any(${p.add(tenants, 'text[]')})`],
    whereJoined: [],
    order: 'id',
    position: 'array[r.id::text]',
    values: p.values,
    limit: scan,
    scan,
  });
}

/**
 * By the primary key, or by the index of each subscription. Most deliveries have an attempt when they are read, and
 * the event of the attempt shows them; they end before the joins.
 */
async function readDeliveries(
  pool: pg.Pool,
  { tenants, subscriptionIds, from, to, scan, merged, accepted }: Span,
): Promise<Found<DeliveryRow>> {
  const p = createParameters();
  const after = p.add(from.deliveryOf, 'uuid');
  const until = p.add(to.deliveryOf, 'uuid');
  // A delivery whose second event is missing is read again.
  const subscription = from.deliveryTo - Number(from.deliveryOpen);
  const order = 'webhook_id, subscription_id';
  // The conditions on the id alone let Postgres leave out other partitions.
  const rows = mergedRows(
    p,
    merged,
    `select d.webhook_id, d.subscription_id, d.state, d.reason, d.attempt_count, d.next_attempt_at, d.ended_at
     from posthorn.deliveries d
     where d.webhook_id >= ${after} and d.webhook_id <= ${until} and ${accepted.where('d.webhook_id')}
       and (d.webhook_id, d.subscription_id) > (${after}, ${p.add(subscription, 'integer')})
       and (d.webhook_id, d.subscription_id) <= (${until}, ${p.add(to.deliveryTo, 'integer')})`,
    'd.subscription_id',
    order,
  );
  return await readPage<DeliveryRow>(pool, {
    name: `stream deliveries ${merged === undefined ? 'all' : 'merged'} ${accepted.key}`,
    rows,
    joins: `
      join posthorn.subscriptions s on s.id = r.subscription_id
      join posthorn.webhook_payloads p on p.id = r.webhook_id and ${accepted.where('p.id')}`,
    shown: `r.webhook_id, r.subscription_id, r.state, r.reason, r.attempt_count as attempts_made,
      r.next_attempt_at, r.ended_at, ${DELIVERY}, p.accepted_at, p.deliver_at, p.content_type,
      length(p.body) as bytes`,
    where: [
      `(r.attempt_count = 0 or r.subscription_id = any(${p.add(subscriptionIds, 'integer[]')}))`,
    ],
    whereJoined: [`s.tenant = any(${p.add(tenants, 'text[]')})`],
    order,
    position: 'array[r.webhook_id::text, r.subscription_id::text]',
    values: p.values,
    limit: scan,
    scan,
  });
}

/** By the index on the time, in all partitions that are not newer, or by that of each subscription. */
async function readAttempts(
  pool: pg.Pool,
  { tenants, from, to, scan, merged, attempted }: Span,
): Promise<Found<AttemptRow>> {
  const p = createParameters();
  const after = momentOf(p.add(from.attemptAt, 'bigint'));
  const until = momentOf(p.add(to.attemptAt, 'bigint'));
  const id = BigInt(from.attempt) - BigInt(from.attemptOpen);
  const order = 'at, id';
  const rows = mergedRows(
    p,
    merged,
    `select a.id, a.at, a.webhook_id, a.subscription_id, a.attempt_number, a.status,
       a.response_code, a.error_code, a.error, a.duration_ms
     from posthorn.delivery_attempts a
     where (a.at, a.id) > (${after}, ${p.add(id, 'bigint')})
       and (a.at, a.id) <= (${until}, ${p.add(to.attempt, 'bigint')})
       and a.webhook_id <= (select posthorn.uuidv7_floor(${until} + interval '1 minute'))
       and ${attempted.where('a.webhook_id')}`,
    'a.subscription_id',
    order,
  );
  return await readPage<AttemptRow>(pool, {
    name: `stream attempts ${merged === undefined ? 'all' : 'merged'} ${attempted.key}`,
    rows,
    joins: `
      join posthorn.subscriptions s on s.id = r.subscription_id
      join posthorn.webhook_payloads p on p.id = r.webhook_id and ${attempted.where('p.id')}
      cross join lateral (
        -- By itself, so that it is found by its key: an index of its subscription alone looked as cheap.
        select * from posthorn.deliveries d
        where d.webhook_id = r.webhook_id and d.subscription_id = r.subscription_id
          and ${attempted.where('d.webhook_id')}
        offset 0) as d`,
    shown: `r.id, r.webhook_id, r.subscription_id, r.attempt_number, r.status, r.response_code,
      r.error_code, r.error, r.duration_ms, r.at as timestamp, ${microsecondsOf('r.at')}::bigint as at_us,
      d.state, d.reason, d.attempt_count as attempts_made, d.next_attempt_at, d.ended_at, ${DELIVERY}`,
    where: [],
    whereJoined: [`s.tenant = any(${p.add(tenants, 'text[]')})`],
    order,
    position: `array[${microsecondsOf('r.at')}, r.id::text]`,
    values: p.values,
    limit: scan,
    scan,
  });
}
