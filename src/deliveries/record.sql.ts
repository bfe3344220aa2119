import { randomInt } from 'node:crypto';
import type pg from 'pg';
import { plainArray, textArray } from '../db/arrays.ts';
import { type HistoryOfIds, historyOf } from '../db/history-of-ids.ts';
import { bounds, isOneOf } from '../db/planner.ts';
import type { AttemptStatus } from '../db/types.ts';
import type { PhaseTimes } from '../http/phase-clock.ts';
import { addJobsOf } from './jobs.sql.ts';
import { onlyCounts, stateAllows } from './states.ts';

/** The result of one attempt, and the state of its delivery that follows from it. */
export interface AttemptResult {
  readonly webhookId: string;
  readonly subscriptionId: number;
  readonly attemptNumber: number;
  readonly status: AttemptStatus;
  readonly responseCode: number | null;
  readonly errorCode: string | null;
  readonly error: string | null;
  /** A whole number, and the sum of all phases. */
  readonly durationMs: number;
  readonly phases: PhaseTimes;
  /** The value of `webhook-timestamp`, in seconds since 1970. It is recorded if the request was sent. */
  readonly timestamp: number;
  readonly responseExcerpt: string | null;
  /**
   * The delivery's next state: `pending` and `held` mean that another attempt follows. Held without
   * `retryInMs`: a failed probe, which changes nothing but the count of attempts.
   */
  readonly state: 'pending' | 'held' | 'succeeded' | 'failed';
  /** Until the next attempt, where there is one. */
  readonly retryInMs: number | null;
  /** The number of the lease, if the receiver pulled the delivery. Left out: a random number is made. */
  readonly token?: number;
  /** The size of the body: the next attempt's job says how much memory it takes. */
  readonly bytes: number;
  /** True: the delivery is one of very many of its sender, and so is its next attempt. The jobs of others go first. */
  readonly bulk?: boolean;
}

/** A retry due within this time gets its job at once, a later one when it is near (wake.sql.ts). */
export const NEAR_MS = 60_000;
/** Retries due within this time of each other share a job, and so are late by at most this much. */
const JOB_STEP_MS = 100;

/** SQL condition: the result is that of a failed probe. */
const PROBE = `(r.state = 'held' and r.retry_in_ms is null)`;
/** SQL condition: the delivery ended while its attempt was in flight, and keeps its final state. */
const OVER = `case r.state
  when 'succeeded' then ${onlyCounts('d', 'succeed')}
  when 'failed' then ${onlyCounts('d', 'fail')}
  else ${onlyCounts('d', 'retry')} end`;

/** The result of recording a group of attempts. */
export interface Recorded {
  /** Duplicate attempts, which were logged without a number: other attempts had been recorded before. */
  readonly late: number;
  /** Until the jobs that were added are due. */
  readonly wakeInMs: readonly number[];
}

/** SQL condition: `d` is the delivery of result `r`, and still counts one attempt fewer. */
const itsDelivery = ({
  where,
}: HistoryOfIds) => `d.webhook_id = r.webhook_id and d.subscription_id = r.subscription_id
  and d.attempt_count = r.attempt_number - 1
  and ${stateAllows('d', 'succeed', 'retry', 'fail', 'countLate')}
  and ${isOneOf('d.webhook_id', 1, 11)} and ${where('d.webhook_id')}`;

/** The columns that are logged of each result, also of a duplicate: $1 to $9. */
const LOGGED = `$1::uuid[], $2::integer[], $3::smallint[], $4::smallint[], $5::text[], $6::text[],
  $7::integer[], $8::text[], $9::integer[]`;
const LOGGED_NAMES = `webhook_id, subscription_id, attempt_number, response_code, error_code, error,
  duration_ms, response_excerpt, token`;

/**
 * How a request was made: numbers of which most attempts have two. They come in one array, $10, one attempt after the
 * other, because each array that unnest gets is a function call with a result of its own. The number of the attempt is
 * `nth`, from 1. *Measured*: an attempt on a kept connection takes 1.2 % more WAL with them (725 bytes), one on a new
 * connection 2.4 %. The CPU time differed by -4 to +12 % between runs on a busy machine, so their cost is not known.
 */
const REQUEST_NAMES = ['webhook_timestamp', 'first_byte_ms', 'dns_ms', 'connect_ms', 'tls_ms'];
const NONE = -1;
const MAX_SMALLINT = 32_767;
const REQUEST = REQUEST_NAMES.map(
  (name, n) =>
    `nullif(($10::integer[])[r.nth * ${REQUEST_NAMES.length} - ${REQUEST_NAMES.length - 1 - n}], ${NONE}) as ${name}`,
).join(', ');

function requestOf({ phases, timestamp }: AttemptResult): number[] {
  const { firstByte, dns, connect, tls } = phases;
  const connecting = [dns, connect, tls].map((ms) => Math.min(ms ?? NONE, MAX_SMALLINT));
  return [firstByte === null ? NONE : timestamp, firstByte ?? NONE, ...connecting];
}

/**
 * Numbers that tell attempts of one delivery apart. A result whose recording is repeated, because the answer
 * to the first was lost, is the same object and has the same token.
 */
const tokens = new WeakMap<AttemptResult, number>();

function tokenOf(result: AttemptResult): number {
  const token = result.token ?? tokens.get(result) ?? randomInt(2 ** 31);
  tokens.set(result, token);
  return token;
}

const daysOf = (results: AttemptResult[]) => historyOf(results.map(({ webhookId }) => webhookId));

function loggedOf(results: AttemptResult[]): string[] {
  return [
    plainArray(results.map(({ webhookId }) => webhookId)),
    plainArray(results.map(({ subscriptionId }) => subscriptionId)),
    plainArray(results.map(({ attemptNumber }) => attemptNumber)),
    plainArray(results.map(({ responseCode }) => responseCode)),
    textArray(results.map(({ errorCode }) => errorCode)),
    textArray(results.map(({ error }) => error)),
    plainArray(results.map(({ durationMs }) => durationMs)),
    textArray(results.map(({ responseExcerpt }) => responseExcerpt)),
    plainArray(results.map(tokenOf)),
    plainArray(results.flatMap(requestOf)),
  ];
}

const LOG = `
  insert into posthorn.delivery_attempts (
    webhook_id, subscription_id, attempt_number, status, response_code,
    error_code, error, duration_ms, response_excerpt, token, ${REQUEST_NAMES.join(', ')})`;
const logMovedAs = (status: string) => `${LOG}
  select r.webhook_id, r.subscription_id, moved.attempt_count, ${status}, r.response_code,
    r.error_code, r.error, r.duration_ms, r.response_excerpt, r.token, ${REQUEST}
  from r
  join moved using (webhook_id, subscription_id)`;

/**
 * Records attempts, changes the states of their deliveries, and adds the jobs of retries that are due
 * soon, in one statement and so in one transaction. A delivery that stays held needs no job: the owner
 * of its backlog knows when it is due.
 *
 * The fence: a delivery changes only if it still counts one attempt fewer than the result's number. A
 * worker that was frozen while another took over comes second: its attempt is logged without a number
 * (recordLate) and changes nothing. A delivery that was cancelled meanwhile stays cancelled, and one that expired
 * stays failed unless the attempt succeeded; the attempt counts.
 */
export async function recordAttempts(
  pool: Pick<pg.ClientBase, 'query'>,
  results: AttemptResult[],
): Promise<Recorded> {
  const allSucceeded = results.every(({ state }) => state === 'succeeded');
  const { moved, wakeInMs } = allSucceeded
    ? await recordSuccesses(pool, results)
    : await recordAny(pool, results);
  const late = moved < results.length ? await recordLate(pool, results) : 0;
  return { late, wakeInMs };
}

/** The number of deliveries that were changed, and the time until the jobs that were added are due. */
interface Moved {
  readonly moved: number;
  readonly wakeInMs: readonly number[];
}

/**
 * Logs those of the results that are not logged: another worker has changed their deliveries. It is a statement
 * of its own, because it has to see an earlier recording of the same result, which may have been committed
 * while the first statement waited for the row.
 *
 * @returns how many were logged.
 */
async function recordLate(
  pool: Pick<pg.ClientBase, 'query'>,
  results: AttemptResult[],
): Promise<number> {
  const days = daysOf(results);
  const { rowCount } = await pool.query({
    ...days.named('record-late'),
    text: `
      with r as materialized (
        select *
        from unnest(${LOGGED}, $13::posthorn.attempt_status[]) with ordinality as r (${LOGGED_NAMES}, status, nth)
      ), known as materialized (
        select webhook_id, subscription_id, token
        from posthorn.delivery_attempts
        where ${isOneOf('webhook_id', 1, 11)} and ${days.where('webhook_id')}
      )
      ${LOG}
      select webhook_id, subscription_id, null, status, response_code,
        error_code, error, duration_ms, response_excerpt, token, ${REQUEST}
      from r
      -- The number of the transaction is assigned before the clock is read: posthorn.committed_before relies on it.
      where pg_current_xact_id() is not null and not exists (
        select from known k
        where k.webhook_id = r.webhook_id and k.subscription_id = r.subscription_id and k.token = r.token)`,
    values: [
      ...loggedOf(results),
      ...bounds(results.map(({ webhookId }) => webhookId)),
      plainArray(results.map(({ status }) => status)),
    ],
  });
  return rowCount ?? 0;
}

/** Does the same as `recordAny` for successes alone: one result costs Postgres 385 µs here, 545 µs there. */
async function recordSuccesses(
  pool: Pick<pg.ClientBase, 'query'>,
  results: AttemptResult[],
): Promise<Moved> {
  const days = daysOf(results);
  const { rows } = await pool.query<{ moved: number }>({
    ...days.named('record-successes'),
    text: `
      with r as materialized (
        select *
        from unnest(${LOGGED}) with ordinality as r (${LOGGED_NAMES}, nth)
      ), moved as (
        update posthorn.deliveries d
        set attempt_count = r.attempt_number,
            state = case when ${onlyCounts('d', 'succeed')} then d.state else 'succeeded' end,
            reason = case when ${onlyCounts('d', 'succeed')} then d.reason end,
            ended_at = case when ${onlyCounts('d', 'succeed')} then d.ended_at else now() end,
            next_attempt_at = null,
            queued = true
        from r
        where ${itsDelivery(days)}
        returning d.webhook_id, d.subscription_id, d.attempt_count
      ), logged as (${logMovedAs(`'success'`)}
      )
      select count(*)::integer as moved from moved`,
    values: [...loggedOf(results), ...bounds(results.map(({ webhookId }) => webhookId))],
  });
  return { moved: rows[0]?.moved ?? 0, wakeInMs: [] };
}

async function recordAny(
  pool: Pick<pg.ClientBase, 'query'>,
  results: AttemptResult[],
): Promise<Moved> {
  const days = daysOf(results);
  const { rows } = await pool.query<{ moved: number; wake_in_ms: number[] | null }>({
    ...days.named('record'),
    text: `
      with r as materialized (
        select *
        from unnest(
          ${LOGGED}, $13::posthorn.attempt_status[], $14::posthorn.delivery_state[],
          $15::bigint[], $16::integer[], $17::boolean[]
        ) with ordinality as r (${LOGGED_NAMES}, status, state, retry_in_ms, bytes, bulk, nth)
      ), moved as (
        update posthorn.deliveries d
        set attempt_count = r.attempt_number,
            probe_count = d.probe_count + ${PROBE}::integer,
            state = case when ${OVER} then d.state else r.state end,
            reason = case when ${OVER} then d.reason end,
            next_attempt_at = case when ${OVER} then null when ${PROBE} then d.next_attempt_at
              when r.state in ('pending', 'held') then now() + r.retry_in_ms * interval '1 millisecond' end,
            ended_at = case when ${OVER} then d.ended_at
              when r.state not in ('pending', 'held') then now() end,
            queued = r.state <> 'held' and (r.retry_in_ms is null or r.retry_in_ms <= ${NEAR_MS})
        from r
        where ${itsDelivery(days)}
        returning d.webhook_id, d.subscription_id, d.state, d.attempt_count, d.next_attempt_at, d.queued, r.bytes,
          r.bulk as is_bulk
      ), logged as (${logMovedAs('r.status')}
      ), ${addJobsOf(
        `
            select *, floor(extract(epoch from next_attempt_at) * ${1000 / JOB_STEP_MS}) as step
            from moved
            where state = 'pending' and queued`,
        'is_bulk',
      )}
      select
        (select count(*) from moved)::integer as moved,
        (select array_agg(ceil(extract(epoch from run_at - now()) * 1000)::integer) from jobs) as wake_in_ms,
        (select jobs from added) as jobs`,
    values: [
      ...loggedOf(results),
      ...bounds(results.map(({ webhookId }) => webhookId)),
      plainArray(results.map(({ status }) => status)),
      plainArray(results.map(({ state }) => state)),
      plainArray(results.map(({ retryInMs }) => retryInMs)),
      plainArray(results.map(({ bytes }) => bytes)),
      plainArray(results.map(({ bulk = false }) => bulk)),
    ],
  });
  const [row] = rows;
  return { moved: row?.moved ?? 0, wakeInMs: row?.wake_in_ms ?? [] };
}
