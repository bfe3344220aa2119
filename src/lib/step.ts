import type { Loop } from './loop-health.ts';

/** A part of a round, which is left out for a while after it has failed. */
export interface Step {
  /** Does the work, unless it failed just now. It never rejects: the loop is told. */
  run(work: () => Promise<void>): Promise<void>;
  /** It is left out until then, as `performance.now()` tells the time. */
  readonly notBefore: number;
}

/** @param wake called with when the step may be tried again, in milliseconds. */
export function createStep(loop: Loop, wake: (inMs: number) => void): Step {
  let notBefore = 0;
  return {
    async run(work) {
      const waitMs = notBefore - performance.now();
      if (waitMs > 0) return wake(waitMs);
      try {
        await work();
        loop.succeeded();
      } catch (error) {
        const pauseMs = loop.failed(error);
        notBefore = performance.now() + pauseMs;
        wake(pauseMs);
      }
    },
    get notBefore() {
      return notBefore;
    },
  };
}
