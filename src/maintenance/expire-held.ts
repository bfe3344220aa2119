import type pg from 'pg';
import type { Logger } from 'pino';
import { mayBeOfRows } from '../db/availability.ts';
import {
  type Expiry,
  expireHeld,
  openCircuits,
  pulledSubscriptions,
} from '../deliveries/expire.sql.ts';
import { parseRetrySchedule, type RetrySchedule } from '../deliveries/retry-schedule.ts';
import { endSkipping, skipSome, subscriptionsSkipping } from '../deliveries/skip.sql.ts';
import { isolate } from '../lib/isolate.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';

/** Not urgent, and an idle process should cost the database little. */
const EXPIRE_EVERY_MS = 60_000;
const SKIP_EVERY_MS = 30_000;
/** Held deliveries wait at least this long, even with a shorter retry schedule. */
const MIN_EXPIRY_MS = 3_600_000;

export interface ExpiryOptions {
  readonly pool: pg.Pool;
  /** For subscriptions that have no schedule of their own. */
  readonly schedule: RetrySchedule;
  readonly onExpired: (deliveries: number) => void;
  readonly loop: Loop;
  readonly log: Logger;
}

/** Expires deliveries that an open circuit held for longer than their retry schedule. */
export function createExpiry({ pool, schedule, onExpired, loop, log }: ExpiryOptions): Periodic {
  async function run(goesOn: () => boolean): Promise<void> {
    const expiries = (await openCircuits(pool, MIN_EXPIRY_MS))
      .map(({ subscription_id, retry_schedule, open_ms }) => ({
        subscriptionId: subscription_id,
        afterMs: expiryMs(retry_schedule, schedule),
        openMs: open_ms,
      }))
      // The circuit has to be open for that time: a receiver that is only slow loses nothing.
      .filter(({ afterMs, openMs }) => openMs > afterMs);
    await expireEach(expiries, goesOn);
  }

  const expireEach = createExpirer(
    { pool, onExpired, log },
    'expired deliveries that were held longer than their retry schedule',
  );

  return createPeriodic({ everyMs: EXPIRE_EVERY_MS, run, loop });
}

/** Creates what expires held deliveries, and says so in the log with `message`. */
function createExpirer(
  { pool, onExpired, log }: Pick<ExpiryOptions, 'pool' | 'onExpired' | 'log'>,
  message: string,
) {
  async function expire(expiries: Expiry[], goesOn: () => boolean): Promise<void> {
    while (goesOn()) {
      const { expired, more } = await expireHeld(pool, expiries);
      if (expired > 0) {
        onExpired(expired);
        log.warn({ deliveries: expired }, message);
      }
      if (!more) return;
    }
  }

  return async (expiries: Expiry[], goesOn: () => boolean): Promise<void> => {
    const { errors } = await isolate(expiries, (group) => expire(group, goesOn), mayBeOfRows);
    for (const error of errors.values()) throw error;
  };
}

/** Expires deliveries that nobody has pulled for as long as history is kept, which they would otherwise keep forever. */
export function createPullExpiry({
  pool,
  retentionMs,
  onExpired,
  loop,
  log,
}: Omit<ExpiryOptions, 'schedule'> & { readonly retentionMs: number }): Periodic {
  const expireEach = createExpirer(
    { pool, onExpired, log },
    'expired deliveries that nobody pulled for as long as history is kept',
  );

  async function run(goesOn: () => boolean): Promise<void> {
    let ids: readonly number[] = [];
    do {
      ids = await pulledSubscriptions(pool, ids.at(-1) ?? 0);
      const expiries = ids.map((subscriptionId) => ({ subscriptionId, afterMs: retentionMs }));
      await expireEach(expiries, goesOn);
    } while (ids.length > 0 && goesOn());
  }

  return createPeriodic({ run, loop });
}

/** Cancels the owed deliveries of subscriptions that were enabled without their backlog. */
export function createSkipping(pool: pg.Pool, loop: Loop): Periodic {
  async function run(goesOn: () => boolean): Promise<void> {
    const ids = await subscriptionsSkipping(pool);
    const { errors } = await isolate(
      ids,
      async (group) => {
        for (const id of group) await skip(id, goesOn);
      },
      mayBeOfRows,
    );
    for (const error of errors.values()) throw error;
  }

  async function skip(id: number, goesOn: () => boolean): Promise<void> {
    let skipped = 0;
    do {
      if (!goesOn()) return;
      skipped = await skipSome(pool, id);
    } while (skipped > 0);
    await endSkipping(pool, id);
  }

  return createPeriodic({ everyMs: SKIP_EVERY_MS, run, loop });
}

/** Returns how long a held delivery stays owed: as long as its retry schedule. */
export function expiryMs(own: string | null, schedule: RetrySchedule): number {
  const delays = own === null ? schedule : readSchedule(own, schedule);
  return Math.max(
    MIN_EXPIRY_MS,
    delays.reduce((sum, delayMs) => sum + delayMs, 0),
  );
}

/** The row may have been written by SQL, which the API's validation does not see. */
function readSchedule(text: string, otherwise: RetrySchedule): RetrySchedule {
  try {
    return parseRetrySchedule(text);
  } catch {
    return otherwise;
  }
}
