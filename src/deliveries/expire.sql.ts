import type pg from 'pg';
import { LOCKS } from '../db/advisory-locks.ts';
import { plainArray } from '../db/arrays.ts';
import { readLiveHistory } from '../db/live-history.ts';
import { BATCH_PLANS, isAmong, planWith } from '../db/planner.ts';
import { inTransaction } from '../db/transaction.ts';
import { stateAllows } from './states.ts';

/** Deliveries that expire in one transaction. */
const MAX_EXPIRED = 2_000;

/** An open circuit, and the retry schedule of its subscription. */
export interface OpenCircuit {
  readonly subscription_id: number;
  readonly retry_schedule: string | null;
  /** How long it has been open. */
  readonly open_ms: number;
}

/** Returns circuits that have been open for at least `minMs`, of active subscriptions. */
export async function openCircuits(pool: pg.Pool, minMs: number): Promise<OpenCircuit[]> {
  const { rows } = await pool.query<OpenCircuit>({
    name: 'open-circuits',
    text: `
      select c.subscription_id, s.retry_schedule,
        (extract(epoch from now() - c.opened_at) * 1000)::float8 as open_ms
      from posthorn.circuits c
      join posthorn.subscriptions s on s.id = c.subscription_id
      where c.opened_at < now() - $1 * interval '1 millisecond' and s.status = 'active' and s.deleted_at is null`,
    values: [minMs],
  });
  return rows;
}

/** Subscriptions that one statement returns: each costs look-ups in the index of held deliveries. */
const MAX_PULLED = 500;

/** Returns subscriptions whose receivers pull, by id, from the one after `after` on; empty: there are no more. */
export async function pulledSubscriptions(pool: pg.Pool, after: number): Promise<number[]> {
  const { rows } = await pool.query<{ id: number }>({
    name: 'pulled-subscriptions',
    text: `
      select id from posthorn.subscriptions
      where url is null and deleted_at is null and id > $1
      order by id
      limit ${MAX_PULLED}`,
    values: [after],
  });
  return rows.map(({ id }) => id);
}

/** A subscription, and how long its held deliveries may wait after they are due. */
export interface Expiry {
  readonly subscriptionId: number;
  readonly afterMs: number;
}

/**
 * Fails held deliveries that have been due for longer than their subscription's time, with the reason
 * `expired`. It takes `MAX_EXPIRED` at a time, in no order: to sort them, Postgres would read them all.
 *
 * One process at a time does it; for another that asks meanwhile the result is empty. A webhook is
 * accepted before its delivery is due, so partitions of later days are left out; and of the others
 * only the index of held deliveries is read.
 *
 * @returns how many expired, and whether there may be more.
 */
export async function expireHeld(
  pool: pg.Pool,
  expiries: readonly Expiry[],
): Promise<{ expired: number; more: boolean }> {
  const live = await readLiveHistory(pool);
  const statement = {
    name: `expire-held ${live.key}`,
    text: `
      with mine as materialized (
        select pg_try_advisory_xact_lock(${LOCKS.expire}) as yes
      ), due as materialized (
        select held.webhook_id, given.id as subscription_id
        from mine
        join unnest($1::integer[], $2::float8[]) as given (id, after_ms) on mine.yes
        cross join lateral (
          select d.webhook_id
          from posthorn.deliveries d
          where d.subscription_id = given.id and d.state = 'held' and ${live.where('d.webhook_id')}
            and d.webhook_id < posthorn.uuidv7_floor(now() - given.after_ms * interval '1 millisecond')
            and d.next_attempt_at < now() - given.after_ms * interval '1 millisecond'
          limit ${MAX_EXPIRED}
        ) as held
        limit ${MAX_EXPIRED}
      )
      update posthorn.deliveries d
      set state = 'failed', reason = 'expired', ended_at = now(), next_attempt_at = null
      from due
      where d.webhook_id = due.webhook_id and d.subscription_id = due.subscription_id
        and ${stateAllows('d', 'expire')}
        and ${isAmong('d.webhook_id', 'select webhook_id from due')} and ${live.where('d.webhook_id')}`,
    values: [
      plainArray(expiries.map(({ subscriptionId }) => subscriptionId)),
      plainArray(expiries.map(({ afterMs }) => afterMs)),
    ],
  };
  const { rowCount } = await inTransaction(pool, async (client) => {
    await planWith(client, BATCH_PLANS.changing);
    return await client.query(statement);
  });
  const expired = rowCount ?? 0;
  return { expired, more: expired >= MAX_EXPIRED };
}
