import type pg from 'pg';
import { readLiveHistory } from '../db/live-history.ts';
import { ATTEMPTS } from './count-rows.sql.ts';

/** The most subscriptions that are summarized at once. */
export const MAX_SUMMARIES = 100;
const MAX_HELD = 100;
const HOURS = 24;
const HOUR_MS = 3_600_000;

/** How a subscription does, for a row of a list. */
export interface HealthSummary {
  readonly circuit: {
    readonly state: 'closed' | 'open' | 'half_open';
    readonly opened_at: Date | null;
    readonly next_probe_at: Date | null;
  };
  readonly failing_since: Date | null;
  /** Counted up to 100. */
  readonly held: number;
  readonly held_more: boolean;
  /** The last 24 hours of the clock, the oldest first. */
  readonly hours: readonly {
    readonly at: Date;
    readonly attempts: number;
    readonly failed: number;
  }[];
}

interface StateRow {
  readonly id: number;
  readonly circuit: HealthSummary['circuit']['state'];
  readonly failing_since: Date | null;
  readonly opened_at: Date | null;
  readonly next_probe_at: Date | null;
  readonly held: number;
}

interface HourRow {
  readonly id: number;
  readonly hour: Date;
  readonly attempts: number;
  readonly failed: number;
}

/**
 * Summarizes subscriptions of a tenant, by their ids: circuits, held deliveries, and the attempts of 24 hours. The cost
 * is bounded for any backlog and history: for each subscription 101 entries of the index of held deliveries, and its
 * counts of 24 hours. The view `subscription_health` counts further, and reads attempts.
 */
export async function summarizeHealth(
  pool: pg.Pool,
  tenant: string,
  ids: readonly number[],
): Promise<ReadonlyMap<number, HealthSummary>> {
  if (ids.length === 0) return new Map();
  const lastHour = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
  const firstHour = lastHour - (HOURS - 1) * HOUR_MS;
  const list = `{${ids.join(',')}}`;
  const live = await readLiveHistory(pool);
  const { rows: states } = await pool.query<StateRow>({
    name: `health-summaries ${live.key}`,
    text: `
      select s.id,
        case
          when c.opened_at is null then 'closed'
          when c.probe_at <= now() and s.status = 'active' then 'half_open'
          else 'open'
        end as circuit,
        c.failing_since, c.opened_at,
        case when s.status = 'active' then c.probe_at end as next_probe_at,
        held.counted as held
      from unnest($1::integer[]) as given (id)
      join posthorn.subscriptions s on s.id = given.id and s.tenant = $2
      left join posthorn.circuits c on c.subscription_id = s.id
      cross join lateral (
        select count(*)::integer as counted
        from (
          select from posthorn.deliveries d
          where d.subscription_id = s.id and d.state = 'held' and ${live.where('d.webhook_id')}
          order by d.webhook_id
          limit ${MAX_HELD + 1}
        ) as first
      ) as held`,
    values: [list, tenant],
  });
  const { rows: hours } = await pool.query<HourRow>({
    name: 'attempts-by-hour',
    text: `
      select given.id, h.hour, ${ATTEMPTS}::integer as attempts, (${ATTEMPTS} - success)::integer as failed
      from unnest($1::integer[]) as given (id)
      join posthorn.counts_by_hour h
        on h.tenant = $2 and h.subscription_id = given.id and h.hour >= $3`,
    values: [list, tenant, new Date(firstHour)],
  });
  const counts = new Map(hours.map((row) => [`${row.id} ${row.hour.getTime()}`, row]));
  return new Map(
    states.map(({ id, circuit, failing_since, opened_at, next_probe_at, held }) => [
      id,
      {
        circuit: { state: circuit, opened_at, next_probe_at },
        failing_since,
        held: Math.min(held, MAX_HELD),
        held_more: held > MAX_HELD,
        hours: Array.from({ length: HOURS }, (_, n) => {
          const at = firstHour + n * HOUR_MS;
          const { attempts = 0, failed = 0 } = counts.get(`${id} ${at}`) ?? {};
          return { at: new Date(at), attempts, failed };
        }),
      },
    ]),
  );
}
