import type pg from 'pg';
import { countMinutes } from '../history/count.sql.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';

/** A minute is counted one to two minutes after its end. */
const EVERY_MS = 45_000;

/** Counts the webhooks and attempts of each minute, for series of figures. */
export function createCounter(pool: pg.Pool, loop: Loop): Periodic {
  return createPeriodic({
    everyMs: EVERY_MS,
    loop,
    async run(goesOn) {
      while (await countMinutes(pool)) if (!goesOn()) return;
    },
  });
}
