import type pg from 'pg';
import { errorCode, errorMessage } from '../lib/errors.ts';

/** Webhooks that a filter is tried on, at most. */
export const MAX_TRIED = 100;
/** Of bodies to be read for that, in bytes. The statement must not take the seconds that would be cut off. */
const MAX_TRIED_BYTES = 4 * 1024 * 1024;

/**
 * Among how many of the last webhooks they are looked for. Those of the default tenant have no index
 * of their own, so there it is the last of all tenants.
 */
const LOOKED_AT = 10_000;

/** What a subscription may say of the webhooks that it wants. */
export interface Wanted {
  readonly filter: string;
  readonly event_types: readonly string[] | null;
  readonly channels: readonly string[] | null;
}

/** A webhook that was sent by type, and whether it would go to such a subscription. */
export interface TriedWebhook {
  readonly webhook_id: string;
  readonly accepted_at: Date;
  readonly event_type: string;
  readonly channels: string[] | null;
  readonly matches: boolean;
}

/**
 * Judges a filter, as the trigger on the table of subscriptions does.
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
    // Postgres says what is wrong with the syntax, or with a value in it.
    if (!/^(42601|22)/.test(errorCode(error) ?? '')) throw error;
    return `it is not a JSON path: ${errorMessage(error)}`;
  }
}

/**
 * Tries a filter on a tenant's last webhooks that were sent by type, by what intake does.
 *
 * A webhook that was sent raw, and looks just like the envelope of Standard Webhooks, is taken for
 * one that was not.
 *
 * @param wanted with a filter that `filterProblem` finds nothing wrong with.
 * @returns the latest first; fewer than there are where they are large.
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
    [tenant, MAX_TRIED, MAX_TRIED_BYTES, filter, event_types, channels, LOOKED_AT],
  );
  return rows;
}
