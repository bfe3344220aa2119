import type pg from 'pg';
import type { Logger } from 'pino';
import { wakeDeliveries } from '../deliveries/wake.sql.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';

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
  readonly loop: Loop;
  readonly log: Logger;
}

/** Sees to it that what is owed soon has a job in the queue. */
export function createWaker(options: WakerOptions): Periodic {
  const { pool, lostAfterMs, timeoutMs, wakeIn, loop, log } = options;
  return createPeriodic({
    everyMs: EVERY_MS,
    loop,
    async run(goesOn) {
      for (;;) {
        const { lost, wakeInMs, more } = await wakeDeliveries(pool, lostAfterMs, timeoutMs);
        wakeInMs.forEach(wakeIn);
        if (lost > 0)
          log.warn({ deliveries: lost }, 'their jobs were lost; they were given new ones');
        if (!more || !goesOn()) return;
      }
    },
  });
}
