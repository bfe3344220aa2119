import type pg from 'pg';
import { errorCode, errorMessage } from '../lib/errors.ts';

/** The most webhooks that a filter is tried on. */
export const MAX_TRIED = 100;
/** The most bytes of bodies read for that, so that the statement does not run into its timeout. */
const MAX_TRIED_BYTES = 4 * 1024 * 1024;

/**
 * The number of latest webhooks that are searched. The default tenant has no index of its own, so for it
 * these are the latest webhooks of all tenants.
 */
const MAX_SEARCHED = 10_000;

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

/**
 * Checks a filter, as the trigger on the table of subscriptions does.
 *
 * @returns why it cannot be used, or null.
 */
export async function filterProblem(pool: pg.Pool, filter: string): Promise<string | null> {
  try {
    const { rows } = await pool.query<{ problem: string | null }>(
      'select posthorn.filter_problem($1::jsonpath) as problem',
      [filter],
    );
    return rows[0]?.problem ?? null;
  } catch (error) {
    // A syntax error, or an invalid value in the path.
    if (!/^(42601|22)/.test(errorCode(error) ?? '')) throw error;
    return `it is not a JSON path: ${errorMessage(error)}`;
  }
}

/**
 * Tries a filter on the latest webhooks that a tenant sent by event type, with the rules of intake.
 *
 * A raw webhook that looks like the envelope of Standard Webhooks is treated as an envelope.
 *
 * @param wanted a choice whose filter is valid by `filterProblem`.
 * @returns the webhooks, the latest first; fewer if they are large.
 */
export async function tryFilter(
  pool: pg.Pool,
  tenant: string,
  { filter, event_types, channels }: Wanted,
): Promise<TriedWebhook[]> {
  const { rows } = await pool.query<TriedWebhook>(
    `with latest as materialized (
       select *
       from (
         select id, tenant, accepted_at, event_type, channels, body
         from posthorn.webhook_payloads
         where $1 = 'default' or tenant = $1
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
     select id as webhook_id, accepted_at, event_type, channels,
       coalesce(
         ($5::text[] is null or $5::text[] && posthorn.event_type_patterns(event_type))
           and ($6::text[] is null or $6::text[] && channels)
           and jsonb_path_exists(
             posthorn.webhook_data(body, event_type), posthorn.filter_test($4::jsonpath), '{}', true),
         false) as matches
     from bounded
     where bytes <= $3
     order by id desc`,
    [tenant, MAX_TRIED, MAX_TRIED_BYTES, filter, event_types, channels, MAX_SEARCHED],
  );
  return rows;
}
