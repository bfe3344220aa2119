import { type RawBuilder, sql } from 'kysely';
import type { Database, SubscriptionStatus } from '../db/types.ts';
import { present, type Subscription, VISIBLE } from './store.ts';

/** The most text chosen by clients on a page, in bytes. A page of 1000 large subscriptions would have 250 MB. */
const MAX_PAGE_BYTES = 4 * 1024 * 1024;
/** The most subscriptions that are read for a page with a filter. Their rows take some 30 ms. */
const MAX_SCANNED = 10_000;

/** What a list of subscriptions is limited to; filters that are undefined do not apply. */
export interface SubscriptionFilter {
  readonly status?: SubscriptionStatus | undefined;
  /** Only those whose receiver fails: three attempts in a row, and no success since. */
  readonly failing?: true | undefined;
  /** Only those whose URL or description contains this text, in upper or lower case. */
  readonly search?: string | undefined;
}

interface Chosen {
  readonly ids: number[] | null;
  readonly more: boolean | null;
  /** The last id that was read, if as many were read as may be. */
  readonly stopped_at: number | null;
}

/**
 * Lists a page of a tenant's subscriptions that are not deleted, by id: at most `limit`, and only the first
 * subscriptions if their text is larger than `maxBytes`. Without a filter, a page that is not the last has a row. With
 * one, 10,000 subscriptions are read for a page, so a page may be short or empty and not be the last.
 *
 * @param after the id that the page before ended with, or 0.
 * @returns the page, and the id after which the next page begins; null: there is no next page.
 */
export async function listSubscriptions(
  db: Database,
  {
    tenant,
    after,
    limit,
    maxBytes = MAX_PAGE_BYTES,
    ...filter
  }: { tenant: string; after: number; limit: number; maxBytes?: number } & SubscriptionFilter,
): Promise<{ rows: Subscription[]; next: number | null }> {
  const conditions = conditionsOf(filter);
  const most = conditions.length === 0 ? limit + 1 : MAX_SCANNED;
  const { rows } = await sql<Chosen>`
    with scanned as materialized (
      select * from posthorn.subscriptions
      where tenant = ${tenant} and deleted_at is null and id > ${after}
      order by id
      limit ${most}
    )
    select array_agg(id order by id) filter (where fits) as ids, bool_or(not fits) as more,
      (select max(id) from scanned having count(*) = ${most}) as stopped_at
    from (
      select id, n = 1 or (n <= ${limit} and bytes <= ${maxBytes}) as fits
      from (
        select id, row_number() over by_id as n, sum(
          coalesce(octet_length(metadata::text), 0) + coalesce(octet_length(headers::text), 0)
          + coalesce(octet_length(filter::text), 0) + coalesce(octet_length(description), 0)
          + coalesce(octet_length(event_types::text), 0) + coalesce(octet_length(channels::text), 0)
          + coalesce(octet_length(forward_headers::text), 0)
          + coalesce(octet_length(ingest_content_types::text), 0)
        ) over by_id as bytes
        from (
          select * from scanned as s
          where ${sql.join([sql`true`, ...conditions], sql` and `)}
          order by id
          limit ${limit + 1}
        ) as read
        window by_id as (order by id)
      ) as sized
    ) as judged`.execute(db);
  const { ids = null, more = null, stopped_at = null } = rows[0] ?? {};
  const page =
    ids === null
      ? []
      : await db
          .selectFrom('posthorn.subscriptions')
          .select(VISIBLE)
          .where('id', '=', sql<number>`any(${ids}::integer[])`)
          .where('tenant', '=', tenant)
          .where('deleted_at', 'is', null)
          .orderBy('id')
          .execute();
  return { rows: page.map(present), next: more === true ? (ids?.at(-1) ?? null) : stopped_at };
}

function conditionsOf({ status, failing, search }: SubscriptionFilter): RawBuilder<unknown>[] {
  return [
    ...(status === undefined ? [] : [sql`s.status = ${status}::posthorn.subscription_status`]),
    ...(failing === undefined
      ? []
      : [sql`s.id in (select subscription_id from posthorn.circuits)`]),
    ...(search === undefined
      ? []
      : [
          sql`(strpos(lower(s.url), lower(${search})) > 0 or strpos(lower(s.description), lower(${search})) > 0)`,
        ]),
  ];
}
