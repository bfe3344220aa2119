import type pg from 'pg';
import { type LiveHistory, readLiveHistory } from '../db/live-history.ts';
import type { DeliveryState } from '../db/types.ts';
import { TRANSITIONS } from './states.ts';

/** Deliveries that are cancelled in one transaction. */
const MAX_SKIPPED = 2_000;

/** SQL condition: the delivery `d` is not a scheduled one that is due later. */
const IS_SKIPPED = '(d.next_attempt_at <= now() or d.attempt_count > 0)';

/**
 * The status reason of a subscription that is paused while its owed deliveries are being skipped. The SQL function
 * set_paused has it too.
 */
export const SKIPPING = 'It is being enabled: its owed deliveries are being skipped.';

/** Returns the subscriptions whose owed deliveries are being skipped. */
export async function subscriptionsSkipping(pool: pg.Pool): Promise<number[]> {
  const { rows } = await pool.query<{ id: number }>({
    name: 'skipping',
    text: 'select id from posthorn.subscriptions where skip_until is not null order by id',
  });
  return rows.map(({ id }) => id);
}

/**
 * Cancels some deliveries that were owed when the skip began, with the reason `skipped`. Held deliveries
 * are found by their own index, and those that wait for a retry by the index of all owed deliveries. Scheduled
 * deliveries that are not due yet were not missed while the subscription was disabled, so they stay.
 *
 * @returns how many were cancelled; 0 when none is left.
 */
export async function skipSome(pool: pg.Pool, subscriptionId: number): Promise<number> {
  const live = await readLiveHistory(pool);
  // Held deliveries first: a search for pending ones would pass over a long backlog each time.
  for (const state of TRANSITIONS.skip.from) {
    const { rows } = await pool.query<{ skipped: number }>({
      name: `skip-${state} ${live.key}`,
      text: `
        with chosen as materialized (
          select d.webhook_id, d.subscription_id
          from posthorn.deliveries d
          where d.subscription_id = $1 and d.state = '${state}' and ${live.where('d.webhook_id')}
            and d.webhook_id <= (select skip_until from posthorn.subscriptions where id = $1)
            and ${IS_SKIPPED}
          limit ${MAX_SKIPPED}
          for update skip locked
        )
        select posthorn.cancel_deliveries(array_agg(webhook_id), array_agg(subscription_id), 'skipped') as skipped
        from chosen`,
      values: [subscriptionId],
    });
    const skipped = rows[0]?.skipped ?? 0;
    if (skipped > 0) return skipped;
  }
  return 0;
}

/**
 * Ends a skip, once all its deliveries are cancelled: makes the subscription active, unless it was paused or
 * disabled meanwhile. `skipSome` may have left some: another session had one locked, or one went from the
 * queue to the backlog, or back, between its two lookups.
 *
 * @returns false: deliveries are left.
 */
export async function endSkipping(pool: pg.Pool, subscriptionId: number): Promise<boolean> {
  const live = await readLiveHistory(pool);
  const { rows } = await pool.query<{ over: boolean }>({
    name: `end-skipping ${live.key}`,
    text: `
      with ended as (
        update posthorn.subscriptions s
        set skip_until = null,
            status = case when status_reason = $2 then 'active' else status end,
            status_changed_at = case when status_reason = $2 then now() else status_changed_at end,
            status_reason = case when status_reason = $2 then null else status_reason end,
            updated_at = now()
        where id = $1 and skip_until is not null
          ${TRANSITIONS.skip.from.map((state) => `and not exists (${leftIn(state, live)})`).join('\n          ')}
        returning id
      )
      select exists (select from ended)
        or not exists (select from posthorn.subscriptions where id = $1 and skip_until is not null) as over`,
    values: [subscriptionId, SKIPPING],
  });
  return rows[0]?.over === true;
}

/** SQL: the deliveries in one state that the skip of subscription `s` still has to cancel. */
function leftIn(state: DeliveryState, { where }: LiveHistory): string {
  return `
    select from posthorn.deliveries d
    where d.subscription_id = $1 and d.state = '${state}' and d.webhook_id <= s.skip_until
      and ${where('d.webhook_id')} and ${IS_SKIPPED}`;
}
