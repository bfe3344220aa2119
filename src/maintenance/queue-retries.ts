import type pg from 'pg';
import type { Logger } from 'pino';
import { wakeDeliveries } from '../deliveries/wake.sql.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';

/** Often enough that a retry has its job well before it is due. */
const EVERY_MS = 15_000;

export interface WakerOptions {
  readonly pool: pg.Pool;
  /** A delivery overdue by this and the time of an attempt, with no older job in the queue, lost its job. */
  readonly lostAfterMs: number;
  /** The time limit of an attempt, for subscriptions that have none of their own. */
  readonly timeoutMs: number;
  /** Called for each job that was added, with the time until it is due. */
  readonly wakeIn: (delayMs: number) => void;
  readonly loop: Loop;
  readonly log: Logger;
}

/** Adds queue jobs for deliveries that are due soon and have none. */
export function createWaker(options: WakerOptions): Periodic {
  const { pool, lostAfterMs, timeoutMs, wakeIn, loop, log } = options;
  return createPeriodic({
    everyMs: EVERY_MS,
    loop,
    async run(goesOn) {
      for (;;) {
        const { lost, wakeInMs, more } = await wakeDeliveries(pool, lostAfterMs, timeoutMs);
        wakeInMs.forEach(wakeIn);
        if (lost > 0) log.warn({ deliveries: lost }, 're-created lost queue jobs');
        if (!more || !goesOn()) return;
      }
    },
  });
}
