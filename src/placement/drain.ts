import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { OperatorError } from '../lib/errors.ts';
import { BEAT_CHANNEL, LEASE_SECONDS } from '../maintenance/worker-beat.sql.ts';
import { MOVING_REASON } from './copy-rows.ts';
import { asMover } from './mover.ts';

/** A worker learns of a pause within a moment. What its row says of attempts counts from this time on. */
const LEARNED_SECONDS = 2;
const LOOK_EVERY_MS = 250;

/**
 * Pauses the active subscriptions of a tenant, and waits until no worker has an attempt under way for them whose result
 * is not recorded. Workers that gave no sign of life for so long that they count as dead are not waited for: they send
 * nothing any more.
 *
 * If it was done before, and no subscription has been resumed since, it waits for nothing.
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
  while (await isBusy(source, tenant)) {
    signal.throwIfAborted();
    await source.query(`notify ${BEAT_CHANNEL}`);
    await sleep(LOOK_EVERY_MS);
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

async function isBusy(source: pg.Pool, tenant: string): Promise<boolean> {
  const { rows } = await source.query<{ busy: boolean }>(
    `with paused as materialized (
       select id, status_changed_at as at from posthorn.subscriptions
       where tenant = $1 and deleted_at is null and status = 'paused' and status_reason = $2
     ), last as materialized (
       select max(at) as at from paused
     )
     select exists (
       select from posthorn.workers w, last
       where w.seen_at > clock_timestamp() - interval '${LEASE_SECONDS} seconds'
         and (w.seen_at < last.at + interval '${LEARNED_SECONDS} seconds'
           or exists (select from jsonb_object_keys(w.in_flight) as f (id) where f.id::integer in (select id from paused)))
     ) as busy`,
    [tenant, MOVING_REASON],
  );
  return (rows[0] as { busy: boolean }).busy;
}

/** Transactions that have changed deliveries, and are open. */
const OPEN_CHANGES = `
  select l.virtualtransaction as id, l.pid
  from pg_catalog.pg_locks l
  where l.locktype = 'relation' and l.granted and l.mode = 'RowExclusiveLock'
    and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
    and (l.relation = 'posthorn.deliveries'::regclass
      or l.relation in (select inhrelid from pg_catalog.pg_inherits where inhparent = 'posthorn.deliveries'::regclass))`;

/**
 * Waits until the transactions have ended that have changed deliveries by now: the fence is on webhooks, and one of them
 * may be a retry or a cancellation that was begun before requests had to wait.
 *
 * @throws OperatorError when one of them is still open after `timeoutMs`.
 */
export async function awaitOpenChanges(
  source: pg.Pool,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<void> {
  const { rows } = await source.query<{ id: string }>(OPEN_CHANGES);
  const ids = rows.map(({ id }) => id);
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const { rows: left } = await source.query<{ pid: number }>(
      `select distinct pid from (${OPEN_CHANGES}) as o where id = any($1)`,
      [ids],
    );
    if (left.length === 0) return;
    if (performance.now() > deadline)
      throw new OperatorError(
        `Transactions that have changed deliveries are still open (pid ${left.map(({ pid }) => pid).join(', ')}). End them, and run the command again.`,
      );
    await sleep(LOOK_EVERY_MS / 5);
  }
}
