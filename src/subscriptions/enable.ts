import type pg from 'pg';
import { endSkipping, SKIPPING, skipSome } from '../deliveries/skip.sql.ts';

/** For so long a request skips; the rest is done by a worker. */
const SKIP_MS = 2_000;

/** What becomes of what a subscription was owed while it was disabled. */
export type BacklogChoice = 'resume' | 'skip';

export interface Enabled {
  /** Whether it is active by now; otherwise it is paused until all is skipped. */
  readonly active: boolean;
  /** Deliveries that were cancelled so far. */
  readonly skipped: number;
}

/**
 * Makes a subscription active, whatever it was, and forgets that its receiver failed. What it was owed
 * is sent, the oldest first; or it is cancelled, and not before that is done does anything flow: a
 * worker finishes it (maintenance/held-keeper.ts) when it is more than can be done at once, or when this
 * process dies.
 *
 * @returns undefined when the tenant has no subscription of that id.
 */
export async function enableSubscription(
  pool: pg.Pool,
  tenant: string,
  subscriptionId: number,
  backlog: BacklogChoice,
): Promise<Enabled | undefined> {
  const skip = backlog === 'skip';
  const { rowCount } = await pool.query({
    name: `enable-${backlog}`,
    text: `
      with enabled as (
        update posthorn.subscriptions
        set status = $2, status_reason = $3, status_changed_at = now(), updated_at = now(),
            skip_until = ${skip ? 'posthorn.uuidv7()' : 'null'}
        where id = $1 and tenant = $4 and deleted_at is null
        returning id
      ), forgotten as (
        -- Of one that was active all the time; otherwise a trigger does it too.
        delete from posthorn.circuits c using enabled where c.subscription_id = enabled.id
      )
      select from enabled`,
    values: [subscriptionId, skip ? 'paused' : 'active', skip ? SKIPPING : null, tenant],
  });
  if (rowCount === 0) return undefined;
  if (!skip) return { active: true, skipped: 0 };
  let skipped = 0;
  for (const until = performance.now() + SKIP_MS; performance.now() < until; ) {
    const some = await skipSome(pool, subscriptionId);
    skipped += some;
    if (some > 0) continue;
    await endSkipping(pool, subscriptionId);
    return { active: true, skipped };
  }
  return { active: false, skipped };
}
