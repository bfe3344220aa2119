import type { Loop } from '../lib/loop-health.ts';
import { pauseAfter } from '../lib/pause-after.ts';
import type { Owned } from './backlog.ts';

/** A backlog that fails is left out for at most that time. */
const MAX_ASIDE_MS = 15_000;

/** The backlogs that are left out of rounds for a while, so that one that fails stops no other. */
export interface Aside {
  /** A round failed because of this backlog alone. */
  roundFailed(one: Owned, error: unknown): void;
  roundSucceeded(one: Owned): void;
  /** An attempt of it broke off, so that nothing came of it. */
  attemptFailed(one: Owned, error: unknown): void;
  attemptSucceeded(one: Owned): void;
  /** This process no longer owns it. */
  forget(one: Owned): void;
  /** Tells the loop that all is well, unless a backlog has failed and not succeeded since. */
  report(): void;
}

/** @param leave leaves a backlog out until `asideUntil`. */
export function createAside(loop: Loop, leave: (one: Owned) => void): Aside {
  const aside = new Set<Owned>();

  function add(one: Owned, failures: number, error: unknown): void {
    loop.failed(error, { subscriptionId: one.id });
    aside.add(one);
    one.asideUntil = performance.now() + pauseAfter(failures, MAX_ASIDE_MS);
    leave(one);
  }

  function succeeded(one: Owned): void {
    if (one.failedRounds === 0 && one.failedAttempts === 0) aside.delete(one);
  }

  return {
    roundFailed(one, error) {
      one.failedRounds += 1;
      add(one, one.failedRounds, error);
    },
    roundSucceeded(one) {
      one.failedRounds = 0;
      succeeded(one);
    },
    attemptFailed(one, error) {
      one.failedAttempts += 1;
      add(one, one.failedAttempts, error);
    },
    attemptSucceeded(one) {
      one.failedAttempts = 0;
      succeeded(one);
    },
    forget: (one) => void aside.delete(one),
    report() {
      if (aside.size === 0) loop.succeeded();
    },
  };
}
