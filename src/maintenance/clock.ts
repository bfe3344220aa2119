import type pg from 'pg';
import type { Logger } from 'pino';
import { MAX_MOVED, moveFutureTimes } from '../deliveries/future-times.sql.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';

const EVERY_MS = 60_000;

/** Looks for times that a wrong clock of the database made, and logs in a line what it moved. */
export function createClockKeeper(pool: pg.Pool, loop: Loop, log: Logger): Periodic {
  return createPeriodic({
    everyMs: EVERY_MS,
    loop,
    async run(goesOn) {
      for (;;) {
        const moved = await moveFutureTimes(pool);
        if (Object.values(moved).some((count) => count > 0))
          log.warn(
            moved,
            `the database's clock was ahead and was set back: what it dated later is due now`,
          );
        if (moved.deliveries < MAX_MOVED || !goesOn()) return;
      }
    },
  });
}
