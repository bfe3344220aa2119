import type { Loop } from '../lib/loop-health.ts';
import { pauseAfter } from '../lib/pause-after.ts';
import type { Backlog } from './backlog.ts';

/** A failing backlog is left out for at most this time. */
const MAX_LEFT_OUT_MS = 15_000;

/** Leaves failing backlogs out of rounds for a while, so that a failing backlog stops no other. */
export interface FailingBacklogs {
  /** A round failed because of this backlog alone. */
  roundFailed(backlog: Backlog, error: unknown): void;
  roundSucceeded(backlog: Backlog): void;
  /** An attempt of the backlog ended without an outcome. */
  attemptFailed(backlog: Backlog, error: unknown): void;
  attemptSucceeded(backlog: Backlog): void;
  /** This process no longer owns it. */
  forget(backlog: Backlog): void;
  /** Reports success to the loop, unless a backlog has failed and not succeeded since. */
  report(): void;
}

/** Failures in a row. */
interface Failures {
  round: number;
  attempt: number;
}

/** @param pause leaves a backlog out of rounds for so long. */
export function createFailingBacklogs(
  loop: Loop,
  pause: (backlog: Backlog, pauseMs: number) => void,
): FailingBacklogs {
  const failing = new Map<Backlog, Failures>();

  function failed(backlog: Backlog, of: keyof Failures, error: unknown): void {
    loop.failed(error, { subscriptionId: backlog.id });
    const failures = failing.get(backlog) ?? { round: 0, attempt: 0 };
    failures[of] += 1;
    failing.set(backlog, failures);
    pause(backlog, pauseAfter(failures[of], MAX_LEFT_OUT_MS));
  }

  function succeeded(backlog: Backlog, of: keyof Failures): void {
    const failures = failing.get(backlog);
    if (failures === undefined) return;
    failures[of] = 0;
    if (failures.round === 0 && failures.attempt === 0) failing.delete(backlog);
  }

  return {
    roundFailed: (backlog, error) => failed(backlog, 'round', error),
    roundSucceeded: (backlog) => succeeded(backlog, 'round'),
    attemptFailed: (backlog, error) => failed(backlog, 'attempt', error),
    attemptSucceeded: (backlog) => succeeded(backlog, 'attempt'),
    forget: (backlog) => void failing.delete(backlog),
    report() {
      if (failing.size === 0) loop.succeeded();
    },
  };
}
