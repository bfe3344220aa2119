import type { Loop } from './loop-health.ts';

/** A part of a round that is skipped for a while after a failure. */
export interface Step {
  /** Runs the work, unless it failed just now. It never rejects: the loop gets errors. */
  run(work: () => Promise<void>): Promise<void>;
  /** The step is skipped until then, on the clock of `performance.now()`. */
  readonly notBefore: number;
}

/** @param wake called with the time until the step may be tried again, in milliseconds. */
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
