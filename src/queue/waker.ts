import type pg from 'pg';
import type { Logger } from 'pino';
import { wakeDeliveries } from '../delivery/wake.sql.ts';
import { errorMessage } from '../lib/errors.ts';

/** Often enough that a retry has its job well before it is due. */
const EVERY_MS = 15_000;

export interface WakerOptions {
  readonly pool: pg.Pool;
  /** A delivery that is overdue by this and the time of an attempt, with nothing older in the queue, has lost its job. */
  readonly lostAfterMs: number;
  /** Bound of an attempt to subscriptions that have none of their own. */
  readonly timeoutMs: number;
  /** Told in how many milliseconds each job is due that was added. */
  readonly wakeIn: (delayMs: number) => void;
  /** Looks after what else may have lost its job, at the same times. */
  readonly also: () => Promise<void>;
  readonly log: Logger;
}

export interface Waker {
  start(): void;
  /** Gives their jobs to all deliveries that are owed soon and have none. Returns how many there were. */
  runOnce(): Promise<number>;
  stop(): Promise<void>;
}

/** Sees to it that what is owed soon has a job in the queue. */
export function createWaker({
  pool,
  lostAfterMs,
  timeoutMs,
  wakeIn,
  also,
  log,
}: WakerOptions): Waker {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let running: Promise<unknown> = Promise.resolve();

  async function runOnce(): Promise<number> {
    for (let total = 0; ; ) {
      const { woken, lost, wakeInMs, more } = await wakeDeliveries(pool, lostAfterMs, timeoutMs);
      wakeInMs.forEach(wakeIn);
      total += woken;
      if (lost > 0)
        log.warn({ deliveries: lost }, 'their jobs were lost; they were given new ones');
      if (!more || stopped) return total;
    }
  }

  function runLater(delayMs: number): void {
    timer = setTimeout(() => {
      running = Promise.all([runOnce(), also()])
        .catch((error: unknown) => {
          log.debug({ reason: errorMessage(error) }, 'giving jobs to deliveries failed');
        })
        .finally(() => {
          if (!stopped) runLater(EVERY_MS);
        });
    }, delayMs);
    timer.unref();
  }

  return {
    start: () => runLater(0),
    runOnce,
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
