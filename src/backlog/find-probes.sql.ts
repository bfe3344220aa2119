import type pg from 'pg';
import { plainArray } from '../db/arrays.ts';
import { readLiveHistory } from '../db/live-history.ts';

/** The oldest held deliveries of a backlog from which its probe is chosen. */
const CANDIDATES = 100;
/** With strict order many of the oldest may have one key. So many are read for all backlogs together. */
const STRICT_CANDIDATES = 5_000;

/** A backlog whose next probe is due. */
export interface ProbeRequest {
  readonly subscriptionId: number;
  /** Only the oldest delivery of each ordering key may be sent. */
  readonly strict: boolean;
}

/**
 * Chooses the probe of each backlog among its oldest held deliveries that are due: the delivery that was
 * a probe least often, and of those the oldest. So a delivery that its receiver cannot take is not the
 * only one tried. It reads the index `deliveries_held`, and with strict order the keys of payloads:
 * 5 ms for a thousand.
 *
 * @returns the webhook's id by the subscription's id; backlogs with nothing to send are left out.
 */
export async function findProbes(
  pool: pg.Pool,
  requests: readonly ProbeRequest[],
): Promise<Map<number, string>> {
  const strict = requests.filter((request) => request.strict).length;
  const live = await readLiveHistory(pool);
  const { rows } = await pool.query<{ subscription_id: number; webhook_id: string }>({
    name: `find-probes ${live.key}`,
    text: `
      select a.subscription_id, probe.webhook_id
      from unnest($1::integer[], $2::boolean[]) as a (subscription_id, strict)
      cross join lateral (
        select webhook_id
        from (
          select webhook_id, next_attempt_at, probe_count,
            not a.strict or row_number() over (partition by key order by webhook_id) = 1 as first_of_key
          from (
            select d.webhook_id, d.next_attempt_at, d.probe_count,
              case when a.strict then (
                select hashtextextended(p.ordering_key, 0)
                from posthorn.webhook_payloads p
                where p.id = d.webhook_id and ${live.where('p.id')}) end as key
            from posthorn.deliveries d
            where d.subscription_id = a.subscription_id and d.state = 'held' and ${live.where('d.webhook_id')}
            order by d.webhook_id
            limit case when a.strict then $3::integer else ${CANDIDATES} end
          ) as oldest
        ) as numbered
        where first_of_key and (next_attempt_at is null or next_attempt_at <= now())
        order by probe_count, webhook_id
        limit 1
      ) as probe`,
    values: [
      plainArray(requests.map(({ subscriptionId }) => subscriptionId)),
      plainArray(requests.map((request) => String(request.strict))),
      Math.max(CANDIDATES, Math.floor(STRICT_CANDIDATES / Math.max(1, strict))),
    ],
  });
  return new Map(rows.map(({ subscription_id, webhook_id }) => [subscription_id, webhook_id]));
}
