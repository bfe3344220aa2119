import type pg from 'pg';
import { floorOf } from '../db/uuidv7.ts';
import { readByWindows } from './windows.sql.ts';

/** The most webhooks that a filter is tried on. */
export const MAX_TRIED = 100;
/** The most bytes of bodies read for that, so that the statement does not run into its timeout. */
const MAX_TRIED_BYTES = 4 * 1024 * 1024;

/**
 * The number of latest webhooks of a part of history that are searched. The default tenant has no index of its own, so
 * for it these are the latest webhooks of all tenants.
 */
const MAX_SEARCHED = 10_000;
/** After every id. */
const NEWEST = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/** The fields of a subscription that choose webhooks. */
interface Wanted {
  readonly filter: string;
  readonly event_types: readonly string[] | null;
  readonly channels: readonly string[] | null;
}

/** A webhook that was sent by event type, and whether it matches. */
interface TriedWebhook {
  readonly webhook_id: string;
  readonly accepted_at: Date;
  readonly event_type: string;
  readonly channels: string[] | null;
  readonly matches: boolean;
}

/** `bytes`: of its body and of those before it. */
type Row = TriedWebhook & { readonly bytes: number };

/**
 * Tries a filter on the latest webhooks that a tenant sent by event type, with the rules of intake.
 *
 * A raw webhook that looks like the envelope of Standard Webhooks is treated as an envelope.
 *
 * @param wanted a choice whose filter is valid by `filterProblem`.
 * @returns the webhooks, the latest first; fewer if they are large, or if it takes long to find them.
 */
export async function tryFilter(
  pool: pg.Pool,
  tenant: string,
  { filter, event_types, channels }: Wanted,
): Promise<readonly TriedWebhook[]> {
  let room = MAX_TRIED_BYTES;
  const { rows } = await readByWindows<TriedWebhook>(pool, {
    start: undefined,
    since: undefined,
    limit: MAX_TRIED,
    after: undefined,
    positionAt: (time) => [floorOf(time)],
    async read({ ids }, limit, [before = NEWEST] = []) {
      const { rows: found } = await pool.query<Row>(
        `with latest as materialized (
           select *
           from (
             select id, tenant, accepted_at, event_type, channels, body
             from posthorn.webhook_payloads
             where ($1 = 'default' or tenant = $1) and id < $8 and ${ids.where('id')}
             order by id desc
             limit $7
           ) as last
           where tenant = $1 and event_type is not null and event_type not like 'posthorn.%'
             and body is not null
           order by id desc
           limit $2
         ), bounded as (
           select *, sum(length(body)) over (order by id desc) as bytes from latest
         )
         select id as webhook_id, accepted_at, event_type, channels, bytes::integer,
           case when bytes <= $3 then coalesce(
             ($5::text[] is null or $5::text[] && posthorn.event_type_patterns(event_type))
               and ($6::text[] is null or $6::text[] && channels)
               and jsonb_path_exists(
                 posthorn.webhook_data(body, event_type), posthorn.filter_test($4::jsonpath), '{}', true),
             false) end as matches
         from bounded
         order by id desc`,
        [tenant, limit, room, filter, event_types, channels, MAX_SEARCHED, before],
      );
      const fitting = found.filter(({ bytes }) => bytes <= room);
      const isFull = fitting.length < found.length || fitting.length === limit;
      room -= fitting.at(-1)?.bytes ?? 0;
      return {
        rows: fitting.map(({ bytes, ...webhook }) => webhook),
        // Only to say that nothing older is wanted.
        next: isFull ? [before] : null,
      };
    },
  });
  return rows;
}
