import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { BEAT_CHANNEL, LEASE_SECONDS } from '../maintenance/worker-beat.sql.ts';
import { MOVING_REASON } from './copy-rows.ts';
import { asMover } from './mover.ts';

/** Workers answer within milliseconds, and receivers may take minutes. Each look costs a statement of each worker. */
const FIRST_LOOK_MS = 25;
const LOOK_EVERY_MS = 500;

/**
 * Pauses the active subscriptions of a tenant, and waits until no worker has an attempt under way for the tenant whose
 * result is not recorded, and none can begin: each worker has said that it has heard of this pause, and what was under way
 * after that. Workers that gave no sign of life for so long that they count as dead are not waited for: they send nothing
 * any more.
 *
 * @param signal ends the waiting; the subscriptions stay paused.
 */
export async function drain(source: pg.Pool, tenant: string, signal: AbortSignal): Promise<void> {
  await asMover(source, (client) =>
    client.query(
      `select posthorn.set_paused(id, true, $2) from posthorn.subscriptions
       where tenant = $1 and deleted_at is null and status = 'active'`,
      [tenant, MOVING_REASON],
    ),
  );
  const question = randomUUID();
  for (let waitMs = FIRST_LOOK_MS; ; waitMs = Math.min(2 * waitMs, LOOK_EVERY_MS)) {
    signal.throwIfAborted();
    await source.query('select pg_notify($1, $2)', [BEAT_CHANNEL, `${question} ${tenant}`]);
    await sleep(waitMs);
    if (!(await isBusy(source, tenant, question))) return;
  }
}

/**
 * Makes the subscriptions active again that `drain` has paused. Of those that receivers pull, the time in which somebody
 * has to pull (`expire_after`) begins anew.
 */
export async function resumeMoved(pool: pg.Pool, tenant: string): Promise<void> {
  await asMover(pool, async (client) => {
    await client.query(
      `update posthorn.backlogs set pulled_at = now()
       where subscription_id in (
         select id from posthorn.subscriptions
         where tenant = $1 and deleted_at is null and url is null and status_reason = $2)`,
      [tenant, MOVING_REASON],
    );
    await client.query(
      `select posthorn.set_paused(id, false) from posthorn.subscriptions
       where tenant = $1 and deleted_at is null and status = 'paused' and status_reason = $2`,
      [tenant, MOVING_REASON],
    );
  });
}

async function isBusy(source: pg.Pool, tenant: string, question: string): Promise<boolean> {
  const { rows } = await source.query<{ busy: boolean }>(
    `select exists (
       select from posthorn.workers w
       where w.seen_at > clock_timestamp() - interval '${LEASE_SECONDS} seconds'
         and ($2 <> all (w.answered) or exists (
           select from jsonb_object_keys(w.in_flight) as f (id)
           join posthorn.subscriptions s on s.id = f.id::integer and s.tenant = $1))
     ) as busy`,
    [tenant, question],
  );
  return (rows[0] as { busy: boolean }).busy;
}
