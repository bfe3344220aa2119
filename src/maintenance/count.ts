import type pg from 'pg';
import { isTimeout } from '../db/availability.ts';
import { countMinute } from '../history/count.sql.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';
import { withPatientPool } from './patient-pool.ts';

/** A minute is counted one to two minutes after its end. */
const EVERY_MS = 45_000;

/** The options of `createCounter`. */
export interface CounterOptions {
  readonly pool: pg.Pool;
  readonly databaseUrl: string;
  /** Aborts when a stop can wait no longer. */
  readonly ending: AbortSignal;
  readonly loop: Loop;
}

/**
 * Counts the webhooks and attempts of each minute, for series of figures.
 *
 * A minute in which webhooks went to hundreds of thousands of subscriptions takes longer than the statements of `pool`
 * may. It is counted by a connection that may take ten minutes: otherwise the figures of all tenants would end there.
 */
export function createCounter({ pool, databaseUrl, ending, loop }: CounterOptions): Periodic {
  async function count(): Promise<boolean> {
    try {
      return await countMinute(pool);
    } catch (error) {
      if (!isTimeout(error)) throw error;
      await withPatientPool(databaseUrl, 'counting', ending, countMinute);
      return true;
    }
  }

  return createPeriodic({
    everyMs: EVERY_MS,
    loop,
    async run(goesOn) {
      while (await count()) if (!goesOn()) return;
    },
  });
}
