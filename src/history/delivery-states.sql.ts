import type pg from 'pg';
import { historyIn } from '../db/live-history.ts';
import { bounds } from '../db/planner.ts';
import type { DeliveryState } from '../db/types.ts';

/** How many deliveries of a webhook are in each state. States without deliveries are left out. */
export type StateCounts = Readonly<Partial<Record<DeliveryState, number>>>;

/** So many deliveries of a webhook are counted. One webhook can go to a million subscriptions. */
export const MAX_COUNTED_DELIVERIES = 1_000;

/** Counts the deliveries of webhooks by their state: of each, those to the first subscriptions, up to the maximum. */
export async function countDeliveryStates(
  pool: pg.Pool,
  webhookIds: readonly string[],
): Promise<Map<string, StateCounts>> {
  if (webhookIds.length === 0) return new Map();
  const [from, greatest] = bounds(webhookIds);
  const { where } = historyIn([{ from, below: null }]);
  // Without a name: a page has its own days.
  const { rows } = await pool.query<{ webhook_id: string; counts: StateCounts }>({
    text: `
      select w.id as webhook_id, c.counts
      from unnest($1::uuid[]) as w (id)
      cross join lateral (
        select coalesce(jsonb_object_agg(state, number), '{}') as counts
        from (
          select state, count(*) as number
          from (
            select d.state from posthorn.deliveries d
            where d.webhook_id = w.id and ${where('d.webhook_id')} and d.webhook_id <= '${greatest}'::uuid
            order by d.subscription_id
            limit ${MAX_COUNTED_DELIVERIES}) first
          group by state) by_state) c`,
    values: [webhookIds],
  });
  return new Map(rows.map(({ webhook_id, counts }) => [webhook_id, counts]));
}
