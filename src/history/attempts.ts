import type pg from 'pg';
import { historyIn, type LiveHistory } from '../db/live-history.ts';
import type { AttemptStatus } from '../db/types.ts';
import {
  type AttemptTiming,
  REQUEST_COLUMNS,
  type RequestColumns,
  timingOf,
} from './attempt-timing.ts';
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

/** An attempt as in the API. */
export interface Attempt {
  readonly id: number;
  readonly webhook_id: string;
  readonly subscription_id: number;
  readonly event_type: string | null;
  readonly attempt_number: number | null;
  readonly status: AttemptStatus;
  readonly response_code: number | null;
  readonly error_code: string | null;
  readonly error: string | null;
  readonly duration_ms: number;
  readonly timestamp: Date;
}

/** An attempt with how it was made and what came back, as in lists of attempts. */
interface ListedAttempt extends Attempt {
  readonly webhook_timestamp: number | null;
  readonly timing_ms: AttemptTiming;
  /** The first KiB of the answer. */
  readonly response_excerpt: string | null;
}

type Row = Omit<ListedAttempt, 'timing_ms'> & RequestColumns;

function listed({ first_byte_ms, dns_ms, connect_ms, tls_ms, ...attempt }: Row): ListedAttempt {
  const { duration_ms, response_code } = attempt;
  const request = { first_byte_ms, dns_ms, connect_ms, tls_ms, duration_ms, response_code };
  return { ...attempt, timing_ms: timingOf(request) };
}

/** The filters of a list of attempts; filters that are undefined do not apply. */
interface AttemptFilter {
  readonly tenant: string;
  readonly webhookId?: string | undefined;
  readonly subscriptionId?: number | undefined;
  readonly status?: AttemptStatus | undefined;
  readonly responseCode?: number | undefined;
  readonly errorCode?: string | undefined;
  readonly eventType?: string | undefined;
  /** Ended at or after this time. */
  readonly since?: Date | undefined;
  /** Ended before this time. */
  readonly until?: Date | undefined;
}

const COLUMNS = `a.id, a.at, a.webhook_id, a.subscription_id, a.attempt_number, a.status,
  a.response_code, a.error_code, a.error, a.duration_ms, a.response_excerpt,
  ${REQUEST_COLUMNS.map((name) => `a.${name}`).join(', ')}`;
const SHOWN = `r.id, r.webhook_id, r.subscription_id, p.event_type, r.attempt_number, r.status,
  r.response_code, r.error_code, r.error, r.duration_ms, r.response_excerpt,
  ${REQUEST_COLUMNS.map((name) => `r.${name}`).join(', ')}, r.at as timestamp`;
const ORDER = 'at desc, id desc';
const POSITION = `array[${microsecondsOf('r.at')}, r.id::text]`;
/** A position after every attempt, in the year 9999. */
const START = ['253402300799000000', '0'];
const MAX_TIME_MS = Date.parse('9999-12-31T23:59:59Z');

/** The error code that a success can have. */
const OF_SUCCESS = 'answer_cut_off';

/** Returns true if only unsuccessful attempts match, for which there are indexes. */
export function isUnsuccessful({
  status,
  responseCode,
  errorCode,
}: Pick<AttemptFilter, 'status' | 'responseCode' | 'errorCode'>): boolean {
  if (status !== undefined) return status !== 'success';
  if (responseCode !== undefined) return responseCode < 200 || responseCode > 299;
  return errorCode !== undefined && errorCode !== OF_SUCCESS;
}

/**
 * Lists a page of attempts, the newest first.
 *
 * @param after the position at which the page before ended.
 */
export async function listAttempts(
  pool: pg.Pool,
  filter: AttemptFilter,
  limit: number,
  after: readonly string[] | undefined,
): Promise<Found<ListedAttempt>> {
  const { tenant, webhookId, subscriptionId, eventType } = filter;
  const by =
    webhookId !== undefined ? 'webhook' : subscriptionId !== undefined ? 'subscription' : 'tenant';
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
      { from: null, webhooks: historyIn([{ from: null, below: null }]) },
      () => undefined,
      limit,
      after,
    );
  return await readByWindows<ListedAttempt>(pool, {
    start: after === undefined ? filter.until : timeAfter(after),
    since: filter.since,
    limit,
    after,
    read: async ({ fromAt, ofAttempts, named }, most, from) =>
      readIn(pool, page, { from: fromAt, webhooks: await ofAttempts() }, named, most, from),
    positionAt: attemptsBefore,
  });
}

/** A time after all attempts that come after a position in a list. */
export function timeAfter([microseconds]: readonly string[]): Date {
  return new Date(Math.min(Math.floor(Number(microseconds) / 1000) + 1, MAX_TIME_MS));
}

/** The position before all attempts that ended before a time. */
export function attemptsBefore(time: Date): readonly string[] {
  return [String(time.getTime() * 1000), '0'];
}

interface Page {
  readonly filter: AttemptFilter;
  readonly by: 'webhook' | 'subscription' | 'tenant';
  readonly reach: Reach;
  readonly scan: number;
  /** The number of subscriptions that the rows are merged from. */
  readonly own: number;
}

/** The attempts from a time on, and the webhooks that have them. */
interface Part {
  readonly from: Date | null;
  readonly webhooks: LiveHistory;
}

/** Reads a page, or what a part of history has of it. */
async function readIn(
  pool: pg.Pool,
  { filter, by, reach, scan, own }: Page,
  { from, webhooks }: Part,
  named: (name: string) => string | undefined,
  limit: number,
  after: readonly string[] | undefined,
): Promise<Found<ListedAttempt>> {
  const { tenant, webhookId, subscriptionId, status, responseCode, errorCode, eventType } = filter;
  // Written exactly as the condition of the indexes.
  const only = isUnsuccessful(filter) ? `a.status <> 'success'` : 'true';

  const ofWebhook = webhookId === undefined ? undefined : uuidConstant(webhookId);
  const p = createParameters();
  const [at, id] = after ?? START;
  const last = momentOf(p.add(at, 'bigint'));
  const until = p.add(filter.until ?? 'infinity', 'timestamptz');
  const where = [
    only,
    `(a.at, a.id) < (${last}, ${p.add(id, 'bigint')})`,
    `a.at >= ${p.add(latest(from, filter.since) ?? '-infinity', 'timestamptz')}`,
    webhooks.where('a.webhook_id'),
    `a.at < ${until}`,
    // No attempt is older than its webhook, so newer partitions are left out. The minute allows for a
    // different clock after a failover.
    `a.webhook_id <= (select posthorn.uuidv7_floor(least(${last}, ${until}) + interval '1 minute'))`,
  ];
  if (ofWebhook !== undefined) where.push(`a.webhook_id = ${ofWebhook}`);
  if (by === 'subscription') where.push(`a.subscription_id = ${p.add(subscriptionId, 'integer')}`);
  const matching = (columns = COLUMNS, also = '') =>
    `select ${columns} from posthorn.delivery_attempts a where ${where.join(' and ')} ${also}`;
  const rows =
    by === 'webhook'
      ? // A webhook has few attempts, and the `offset` keeps their order out of the search for them: on a calm
        // day, all attempts of the day in the order of time looked as cheap to Postgres.
        `select * from (${matching(COLUMNS, 'offset 0')}) as a order by ${ORDER}`
      : reach === 'all'
        ? `${matching()} order by ${ORDER}`
        : firstRows(p, {
            tenant,
            own,
            scan,
            matching,
            subscription: 'a.subscription_id',
            order: ORDER,
            key: 'a.at',
            least: `'-infinity'::timestamptz`,
          });

  const { rows: found, next } = await readPage<Row>(pool, {
    name: named(
      [
        'attempts',
        by,
        isSampled(own) ? 'sampled' : reach,
        only === 'true' ? '' : 'unsuccessful',
        webhooks.key,
      ].join(' '),
    ),
    rows,
    joins: `
      join posthorn.subscriptions s on s.id = r.subscription_id
      join posthorn.webhook_payloads p on p.id = ${ofWebhook ?? 'r.webhook_id'}
        and ${webhooks.where('p.id')}`,
    shown: SHOWN,
    where: [
      p.whereGiven(subscriptionId, 'integer', (id) => `r.subscription_id = ${id}`),
      p.whereGiven(status, 'posthorn.attempt_status', (name) => `r.status = ${name}`),
      p.whereGiven(responseCode, 'integer', (code) => `r.response_code = ${code}`),
      p.whereGiven(errorCode, 'text', (code) => `r.error_code = ${code}`),
    ],
    whereJoined: [
      `s.tenant = ${p.add(tenant, 'text')}`,
      p.whereGiven(eventType, 'text', (type) => `p.event_type = ${type}`),
    ],
    order: ORDER,
    position: POSITION,
    values: p.values,
    limit,
    scan,
  });
  return { rows: found.map(listed), next };
}

/** Returns the later one of two times. */
export function latest(a: Date | null, b: Date | undefined): Date | null | undefined {
  return a === null || (b !== undefined && b > a) ? b : a;
}
