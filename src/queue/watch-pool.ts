import type pg from 'pg';
import { isTimeout, isUnavailable } from '../db/availability.ts';
import { watchStatements, wrapConnect } from '../db/driver.ts';
import type { Patience } from '../db/retry-while-unavailable.ts';
import type { Loop } from '../lib/loop-health.ts';
import type { LoopParts } from '../lib/loop-parts.ts';

export interface Watched {
  before(): Promise<void>;
  readonly patience: Patience;
  readonly loop: Loop;
  /** Told how each statement goes, by its text. */
  readonly parts: LoopParts;
  /** Called when a statement broke off, so that its effect is unknown. */
  onBroken(): void;
}

/**
 * Makes callers wait for a connection while the database cannot be used: graphile-worker ends its pool
 * when a completion gets no connection.
 */
export function watchPool(
  pool: pg.Pool,
  { before, patience, loop, parts, onBroken }: Watched,
): void {
  wrapConnect(pool, async (connect) => {
    await before();
    return await patience(connect, loop);
  });
  watchStatements(pool, ({ text, error, byPool }) => {
    // graphile-worker takes and completes jobs on connections that it takes out of the pool.
    if (byPool) return;
    if (error === undefined) return parts.succeeded(text);
    // A statement that broke off may belong to a pool that is gone, and is never asked again.
    if (isUnavailable(error) && !isTimeout(error)) loop.failed(error);
    else parts.failed(text, error);
    if (isUnavailable(error)) onBroken();
  });
}
