import type { Loop } from './loop-health.ts';

interface PeriodicOptions {
  /** The time from the end of a run to the next run, in milliseconds. Without it, only `runOnce` runs it. */
  readonly everyMs?: number;
  /** The time from `start` to the first run, in milliseconds; 0 if left out. */
  readonly firstInMs?: number;
  /** @param goesOn returns whether to start another part of the work: false once `stop` was called. */
  readonly run: (goesOn: () => boolean) => Promise<unknown>;
  readonly loop: Loop;
}

export interface Periodic {
  start(): void;
  /** Runs now, or joins the current run; resolves when it has ended. It never rejects: the loop gets errors. */
  runOnce(): Promise<void>;
  /** From now on, the time between two runs is so many times `everyMs`. */
  setPace(times: number): void;
  /** Starts no more runs, and waits for the current run. */
  stop(): Promise<void>;
}

/**
 * Creates work that runs on a clock. A failed run is reported to its loop and tried again sooner than the clock
 * says, so that it is soon clear whether it was chance, and when it works again.
 */
export function createPeriodic({ everyMs, firstInMs = 0, run, loop }: PeriodicOptions): Periodic {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let stopped = false;
  let pace = 1;
  /** When the next run begins; undefined while none is planned. */
  let dueAt: number | undefined;

  function runLater(delayMs: number): void {
    clearTimeout(timer);
    if (stopped) return;
    dueAt = performance.now() + delayMs;
    timer = setTimeout(runOnce, delayMs);
    timer.unref();
  }

  async function runAndPlan(): Promise<void> {
    try {
      await run(() => !stopped);
      loop.succeeded();
      if (everyMs !== undefined) runLater(everyMs * pace);
    } catch (error) {
      runLater(Math.min(loop.failed(error), everyMs ?? Number.POSITIVE_INFINITY));
    } finally {
      running = undefined;
    }
  }

  function runOnce(): Promise<void> {
    clearTimeout(timer);
    dueAt = undefined;
    running ??= runAndPlan();
    return running;
  }

  return {
    start: () => runLater(firstInMs),
    runOnce,
    setPace(times) {
      pace = times;
      if (everyMs === undefined || dueAt === undefined) return;
      const leftMs = dueAt - performance.now();
      if (leftMs > everyMs * pace) runLater(everyMs * pace);
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
