import type { Loop } from './loop-health.ts';

export interface PeriodicOptions {
  /** From the end of a run to the next one, in milliseconds. Without it, it only runs when it is told to. */
  readonly everyMs?: number;
  /** Until the first run after `start`; 0 if it is left out. */
  readonly firstInMs?: number;
  /** @param goesOn whether to begin another part of the work: false once it is to stop. */
  readonly run: (goesOn: () => boolean) => Promise<unknown>;
  readonly loop: Loop;
}

export interface Periodic {
  start(): void;
  /** Runs now, unless a run is under way; resolves when it has ended. It never rejects: the loop is told. */
  runOnce(): Promise<void>;
  /** Begins nothing more, and waits for the run that is under way. */
  stop(): Promise<void>;
}

/**
 * Work on a clock. A run that fails is told to its loop and tried again sooner than the clock says, so
 * that it is soon known whether it was chance, and when it works again.
 */
export function createPeriodic({ everyMs, firstInMs = 0, run, loop }: PeriodicOptions): Periodic {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let stopped = false;

  function runLater(delayMs: number): void {
    clearTimeout(timer);
    if (stopped) return;
    timer = setTimeout(runOnce, delayMs);
    timer.unref();
  }

  async function runAndPlan(): Promise<void> {
    try {
      await run(() => !stopped);
      loop.succeeded();
      if (everyMs !== undefined) runLater(everyMs);
    } catch (error) {
      runLater(Math.min(loop.failed(error), everyMs ?? Number.POSITIVE_INFINITY));
    } finally {
      running = undefined;
    }
  }

  function runOnce(): Promise<void> {
    clearTimeout(timer);
    running ??= runAndPlan();
    return running;
  }

  return {
    start: () => runLater(firstInMs),
    runOnce,
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
