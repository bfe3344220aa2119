import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { endSkipping, SKIPPING, skipSome } from '../deliveries/skip.sql.ts';

/** For this long the request itself cancels deliveries; a worker cancels the rest. */
const SKIP_MS = 2_000;
/** A delivery that another session has locked, to record an attempt, is tried again after this time. */
const LOCKED_MS = 20;

/** The subscription's pending and held deliveries are sent (resume) or cancelled (skip). */
type BacklogChoice = 'resume' | 'skip';

export interface Enabled {
  /** True: the subscription is active now. False: it is paused until all deliveries are cancelled. */
  readonly active: boolean;
  /** The number of deliveries cancelled so far. */
  readonly skipped: number;
}

/**
 * Makes a subscription active, whatever its status, and clears its record of failures. Its pending and held
 * deliveries are sent, the oldest first, or cancelled. Nothing is sent before all are cancelled: if there are
 * too many to cancel at once, or this process dies, a worker finishes (maintenance/expire-held.ts).
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
        where id = $1 and tenant = $4 and deleted_at is null and posthorn.require_open_subscriptions(array[id])
        returning id
      ), forgotten as (
        -- For a subscription that was active already; otherwise a trigger does it too.
        delete from posthorn.circuits c using enabled where c.subscription_id = enabled.id
      )
      select from enabled`,
    values: [subscriptionId, skip ? 'paused' : 'active', skip ? SKIPPING : null, tenant],
  });
  if (rowCount === 0) return undefined;
  if (!skip) return { active: true, skipped: 0 };
  let skipped = 0;
  for (const until = performance.now() + SKIP_MS; performance.now() < until; ) {
    const cancelled = await skipSome(pool, subscriptionId);
    skipped += cancelled;
    if (cancelled > 0) continue;
    if (await endSkipping(pool, subscriptionId)) return { active: true, skipped };
    await sleep(LOCKED_MS);
  }
  return { active: false, skipped };
}
