import type pg from 'pg';
import { plainArray, textArray } from '../db/arrays.ts';

/** Failures of a subscription since its last report. */
export interface FailureReport {
  readonly subscriptionId: number;
  readonly failures: number;
  /** The time since the first failure after the last success, in milliseconds. */
  readonly sinceMs: number;
  /** The failures at the end, in a row, that count towards opening the circuit, … */
  readonly down: number;
  /** … and the time since the first of that row, reported ones included, in milliseconds. */
  readonly downMs: number;
  /** This process alone has seen enough of them to open it. */
  readonly open: boolean;
  /** The pause that the receiver asked for; its circuit is open for that time. */
  readonly pauseMs: number | null;
  /** The failure was a probe's: the next probe is due after a longer pause. */
  readonly probe: boolean;
  /** The receiver answered 410 Gone: the subscription is disabled. */
  readonly gone: boolean;
  readonly errorCode: string | null;
  readonly error: string | null;
}

/** The limits after which a circuit opens, a probe is due, and a subscription is disabled. */
export interface CircuitTimes {
  /** Failures in a row, of all processes, that open a circuit; null: none do. */
  readonly openFailures: number | null;
  /** The least time over which. */
  readonly openOverMs: number;
  /** Until the first probe; twice as long after each that fails. */
  readonly firstProbeMs: number;
  readonly maxProbeMs: number;
  /** Failing for so long without a success, a subscription is disabled; null: never. */
  readonly disableAfterMs: number | null;
}

/** The subscriptions that a report has changed. */
export interface Reported {
  readonly opened: number[];
  readonly disabled: number[];
}

/**
 * Records that attempts failed, in one transaction with all consequences: circuits that open, probes
 * that are put off, subscriptions that are disabled, and operational webhooks. The functions are in
 * schema/functions/report_*.sql.
 *
 * A failure may be reported twice, or by several processes.
 */
export async function reportFailures(
  pool: pg.Pool,
  reports: readonly FailureReport[],
  { openFailures, openOverMs, firstProbeMs, maxProbeMs, disableAfterMs }: CircuitTimes,
): Promise<Reported> {
  // They lock their subscriptions' rows: in order, so that processes do not wait for each other.
  const sorted = reports.toSorted((a, b) => a.subscriptionId - b.subscriptionId);
  const { rows } = await pool.query<{ id: number; opened: boolean; disabled: boolean }>({
    name: 'report-failures',
    text: `
      select r.id, done.opened, done.disabled
      from unnest(
        $1::integer[], $2::integer[], $3::float8[], $4::integer[], $5::float8[], $6::boolean[], $7::float8[],
        $8::boolean[], $9::boolean[], $10::text[], $11::text[]
      ) as r (id, failures, since_ms, down, down_ms, open, pause_ms, probe, gone, error_code, error)
      cross join lateral posthorn.report_failure(
        r.id, r.failures, r.since_ms, r.down, r.down_ms, r.open, r.pause_ms, r.probe, r.gone, r.error_code, r.error,
        $12, $13, $14, $15, $16) as done`,
    values: [
      plainArray(sorted.map(({ subscriptionId }) => subscriptionId)),
      plainArray(sorted.map(({ failures }) => failures)),
      plainArray(sorted.map(({ sinceMs }) => Math.round(sinceMs))),
      plainArray(sorted.map(({ down }) => down)),
      plainArray(sorted.map(({ downMs }) => Math.round(downMs))),
      plainArray(sorted.map(({ open }) => open)),
      plainArray(sorted.map(({ pauseMs }) => pauseMs)),
      plainArray(sorted.map(({ probe }) => probe)),
      plainArray(sorted.map(({ gone }) => gone)),
      textArray(sorted.map(({ errorCode }) => errorCode)),
      textArray(sorted.map(({ error }) => error)),
      openFailures,
      openOverMs,
      firstProbeMs,
      maxProbeMs,
      disableAfterMs,
    ],
  });
  return {
    opened: rows.filter(({ opened }) => opened).map(({ id }) => id),
    disabled: rows.filter(({ disabled }) => disabled).map(({ id }) => id),
  };
}

/** Records that failing subscriptions have succeeded. Returns those whose circuits it closed. */
export async function reportSuccesses(pool: pg.Pool, ids: readonly number[]): Promise<number[]> {
  return await closing(pool, 'report_success', ids);
}

/** Records that failing subscriptions answered, if only to refuse. Returns those whose circuits it closed. */
export async function reportAnswers(pool: pg.Pool, ids: readonly number[]): Promise<number[]> {
  return await closing(pool, 'report_answer', ids);
}

async function closing(
  pool: pg.Pool,
  report: 'report_success' | 'report_answer',
  ids: readonly number[],
): Promise<number[]> {
  const { rows } = await pool.query<{ id: number; closed: boolean }>({
    name: `call-${report}`,
    text: `
      select r.id, done.closed
      from unnest($1::integer[]) as r (id)
      cross join lateral posthorn.${report}(r.id) as done (closed)`,
    values: [plainArray(ids.toSorted((a, b) => a - b))],
  });
  return rows.filter(({ closed }) => closed).map(({ id }) => id);
}
