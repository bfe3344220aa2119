import type pg from 'pg';
import type { Logger } from 'pino';
import { parseRetrySchedule, type RetrySchedule } from '../delivery/backoff.ts';
import { expireHeld, openCircuits } from '../delivery/expiry.sql.ts';
import { errorMessage } from '../lib/errors.ts';
import { endSkipping, skipSome, subscriptionsSkipping } from '../subscriptions/skip.sql.ts';

/** Nothing here is pressing, and an idle process asks for little. */
const EVERY_MS = 30_000;
/** However short a schedule is, a receiver has this time to come back. */
const MIN_EXPIRY_MS = 3_600_000;

export interface HeldKeeperOptions {
  readonly pool: pg.Pool;
  /** Of subscriptions that have none of their own. */
  readonly schedule: RetrySchedule;
  readonly onExpired: (deliveries: number) => void;
  readonly log: Logger;
}

export interface HeldKeeper {
  start(): void;
  stop(): Promise<void>;
}

/** Ends what is held and will not be sent: what has waited for too long, and what is to be skipped. */
export function createHeldKeeper({
  pool,
  schedule,
  onExpired,
  log,
}: HeldKeeperOptions): HeldKeeper {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let running: Promise<unknown> = Promise.resolve();

  async function expire(): Promise<void> {
    const expiries = (await openCircuits(pool, MIN_EXPIRY_MS))
      .map(({ subscription_id, retry_schedule, open_ms }) => ({
        subscriptionId: subscription_id,
        afterMs: expiryMs(retry_schedule, schedule),
        openMs: open_ms,
      }))
      // It has to be down for that time, not only slow.
      .filter(({ afterMs, openMs }) => openMs > afterMs);
    while (expiries.length > 0 && !stopped) {
      const { expired, more } = await expireHeld(pool, expiries);
      if (expired > 0) {
        onExpired(expired);
        log.warn(
          { deliveries: expired },
          'held for as long as their retries would take; they expired',
        );
      }
      if (!more) return;
    }
  }

  async function skip(): Promise<void> {
    for (const id of await subscriptionsSkipping(pool)) {
      let skipped = 0;
      do {
        if (stopped) return;
        skipped = await skipSome(pool, id);
      } while (skipped > 0);
      await endSkipping(pool, id);
    }
  }

  function runLater(delayMs: number): void {
    timer = setTimeout(() => {
      running = expire()
        .then(skip)
        .catch((error: unknown) => {
          log.debug(
            { reason: errorMessage(error) },
            'ending what is held and will not be sent failed',
          );
        })
        .finally(() => {
          if (!stopped) runLater(EVERY_MS);
        });
    }, delayMs);
    timer.unref();
  }

  return {
    start: () => runLater(0),
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}

/** How long a held delivery is owed: as long as its retries would take. */
export function expiryMs(own: string | null, schedule: RetrySchedule): number {
  const delays = own === null ? schedule : readSchedule(own, schedule);
  return Math.max(
    MIN_EXPIRY_MS,
    delays.reduce((sum, delayMs) => sum + delayMs, 0),
  );
}

/** A row can be written by SQL too, past the API that judges it. */
function readSchedule(text: string, otherwise: RetrySchedule): RetrySchedule {
  try {
    return parseRetrySchedule(text);
  } catch {
    return otherwise;
  }
}
