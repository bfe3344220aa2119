import type { CircuitTimes, FailureReport } from '../../src/health/circuits.sql.ts';

/** A row of `circuits`, with times in milliseconds. */
export interface CircuitRow {
  failures: number;
  readonly failingSince: number;
  down: number;
  downSince: number | null;
  openedAt: number | null;
  probeAt: number | null;
  probeIntervalMs: number | null;
}

/** The rows of `circuits`, by subscription. */
export type Circuits = Map<number, CircuitRow>;

/**
 * The rules of the SQL functions `report_failure`, `report_success` and `report_answer`, without disabling and without
 * operational webhooks. (They decide in the transaction that records a report, so the service has them only in SQL.)
 * test/bench/circuit-rules.test.ts compares them with the functions, for generated histories.
 *
 * @param random a number in [0, 1), for the jitter of the next probe.
 * @returns whether it opened the circuit.
 */
export function reportFailure(
  circuits: Circuits,
  report: Pick<
    FailureReport,
    'subscriptionId' | 'failures' | 'sinceMs' | 'down' | 'downMs' | 'open' | 'pauseMs' | 'probe'
  >,
  { openFailures, openOverMs, firstProbeMs, maxProbeMs }: CircuitTimes,
  now: number,
  random: number,
): boolean {
  const { subscriptionId, failures, sinceMs, down, downMs, open, pauseMs, probe } = report;
  const row = circuits.get(subscriptionId) ?? {
    failures: 0,
    failingSince: now - sinceMs,
    down: 0,
    downSince: null,
    openedAt: null,
    probeAt: null,
    probeIntervalMs: null,
  };
  circuits.set(subscriptionId, row);
  const wasOpen = row.openedAt !== null;
  row.failures += failures;
  if (down < failures) {
    row.down = 0;
    row.downSince = null;
  }
  row.down += down;
  if (down > 0) row.downSince = Math.min(row.downSince ?? now, now - downMs);
  const isDown =
    openFailures !== null && row.down >= openFailures && now - (row.downSince ?? now) >= openOverMs;
  const opens = open || isDown;
  const opened = !wasOpen && (opens || pauseMs !== null);
  if (opened) {
    row.openedAt = now;
    row.probeIntervalMs = firstProbeMs;
    row.probeAt = now;
  } else if (wasOpen && probe) {
    row.probeIntervalMs = Math.min((row.probeIntervalMs ?? 0) * 2, maxProbeMs);
  }
  const putOff = (ms: number) => {
    row.probeAt = Math.max(row.probeAt ?? now, now + ms);
  };
  if ((opened && opens) || (wasOpen && probe))
    putOff((row.probeIntervalMs ?? 0) * (0.8 + 0.4 * random));
  if (row.openedAt !== null && pauseMs !== null) putOff(pauseMs);
  return opened;
}

/** Returns whether the circuit was open. */
export function reportSuccess(circuits: Circuits, subscriptionId: number): boolean {
  const wasOpen = (circuits.get(subscriptionId)?.openedAt ?? null) !== null;
  circuits.delete(subscriptionId);
  return wasOpen;
}

/** Returns whether the circuit was open. */
export function reportAnswer(circuits: Circuits, subscriptionId: number): boolean {
  const row = circuits.get(subscriptionId);
  if (row === undefined || row.openedAt === null) return false;
  row.openedAt = null;
  row.probeAt = null;
  row.probeIntervalMs = null;
  row.down = 0;
  row.downSince = null;
  return true;
}
