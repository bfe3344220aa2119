import type { Loop } from '../lib/loop-health.ts';
import { pauseAfter } from '../lib/pause-after.ts';
import type { Backlog } from './backlog.ts';

/** A failing backlog is left out for at most this time. */
const MAX_LEFT_OUT_MS = 15_000;

/** Leaves failing backlogs out of rounds for a while, so that one that fails stops no other. */
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

/** @param leave leaves a backlog out until `leftOutUntil`. */
export function createFailingBacklogs(
  loop: Loop,
  leave: (backlog: Backlog) => void,
): FailingBacklogs {
  const failing = new Set<Backlog>();

  function add(backlog: Backlog, failures: number, error: unknown): void {
    loop.failed(error, { subscriptionId: backlog.id });
    failing.add(backlog);
    backlog.leftOutUntil = performance.now() + pauseAfter(failures, MAX_LEFT_OUT_MS);
    leave(backlog);
  }

  function succeeded(backlog: Backlog): void {
    if (backlog.failedRounds === 0 && backlog.failedAttempts === 0) failing.delete(backlog);
  }

  return {
    roundFailed(backlog, error) {
      backlog.failedRounds += 1;
      add(backlog, backlog.failedRounds, error);
    },
    roundSucceeded(backlog) {
      backlog.failedRounds = 0;
      succeeded(backlog);
    },
    attemptFailed(backlog, error) {
      backlog.failedAttempts += 1;
      add(backlog, backlog.failedAttempts, error);
    },
    attemptSucceeded(backlog) {
      backlog.failedAttempts = 0;
      succeeded(backlog);
    },
    forget: (backlog) => void failing.delete(backlog),
    report() {
      if (failing.size === 0) loop.succeeded();
    },
  };
}
