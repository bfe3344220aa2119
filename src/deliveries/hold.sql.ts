import type pg from 'pg';
import { plainArray } from '../db/arrays.ts';
import { historyOf } from '../db/history-of-ids.ts';
import { readLiveHistory } from '../db/live-history.ts';
import { bounds, isOneOf } from '../db/planner.ts';
import { markBacklogs, notifyOwners } from './backlogs.sql.ts';
import type { OwedDelivery } from './load.sql.ts';
import { stateAllows } from './states.ts';

/**
 * Moves deliveries from the queue to their backlogs: their receivers are at their limits, or have rules
 * that only the owner of the backlog keeps. They stay owed, in state `held`, and do not return to the
 * queue; the backlog's owner sends them, the oldest first (backlog/sender.ts).
 */
export async function holdDeliveries(
  pool: pg.Pool,
  deliveries: readonly OwedDelivery[],
): Promise<void> {
  const webhooks = deliveries.map(({ webhookId }) => webhookId);
  const days = historyOf(webhooks);
  await pool.query({
    ...days.named('hold'),
    text: `
      with backlogs as (${markBacklogs('unnest($2::integer[]) as s (subscription_id)')}
      ), held as (
        update posthorn.deliveries d
        set state = 'held'
        from unnest($1::uuid[], $2::integer[], $3::smallint[]) as k (webhook_id, subscription_id, attempt_count)
        where d.webhook_id = k.webhook_id and d.subscription_id = k.subscription_id
          and ${isOneOf('d.webhook_id', 1, 4)} and ${days.where('d.webhook_id')}
          and d.attempt_count = k.attempt_count and ${stateAllows('d', 'hold')}
        returning d.subscription_id
      )
      ${notifyOwners('held')}`,
    values: [
      plainArray(webhooks),
      plainArray(deliveries.map(({ subscriptionId }) => subscriptionId)),
      plainArray(deliveries.map(({ attemptCount }) => attemptCount)),
      ...bounds(webhooks),
    ],
  });
}

const DAY_MS = 86_400_000;
/** The time of a rate limit is an integer of milliseconds in the database: at most 24.9 days. */
const LONGEST_RATE_DAYS = 25;

/**
 * Returns how many milliseconds ago the last logged attempt of each subscription began. Subscriptions
 * without attempts are left out, and so may be those whose last attempt is older than the longest rate limit.
 */
export async function readLastStarts(
  pool: pg.Pool,
  subscriptionIds: readonly number[],
): Promise<Map<number, number>> {
  const today = Math.floor(Date.now() / DAY_MS) * DAY_MS;
  const live = await readLiveHistory(pool, new Date(today - LONGEST_RATE_DAYS * DAY_MS));
  const { rows } = await pool.query<{ id: number; ago_ms: number }>({
    name: `last-starts ${live.key}`,
    text: `
      select s.id, (extract(epoch from now() - a.at) * 1000 + a.duration_ms)::float8 as ago_ms
      from unnest($1::integer[]) as s (id)
      cross join lateral (
        select at, duration_ms
        from posthorn.delivery_attempts
        where subscription_id = s.id and ${live.where('webhook_id')}
        order by at desc
        limit 1
      ) as a`,
    values: [plainArray(subscriptionIds)],
  });
  return new Map(rows.map(({ id, ago_ms }) => [id, ago_ms]));
}
