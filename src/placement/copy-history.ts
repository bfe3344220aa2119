import type pg from 'pg';
import { insertRows, whileClosed } from './mover.ts';

/** The databases of a move, as the owner of both schemas. */
export interface Sides {
  readonly source: pg.Pool;
  readonly target: pg.Pool;
}

/** How many webhooks a round of copying has compared and copied. */
export interface Copied {
  /** Webhooks whose rows differed, and were copied with their deliveries and attempts. */
  readonly webhooks: number;
  /** Webhooks that were compared. */
  readonly compared: number;
}

/** Webhooks that are compared at once. */
const WINDOW = 2_000;
/** One transaction copies at most so many bytes and rows, or a single webhook. */
const BATCH_BYTES = 4 * 1024 * 1024;
const BATCH_ROWS = 5_000;

/**
 * A line for each webhook: what its rows are, as one text. A delivery that is held at one side and pending at the
 * other is the same: while its subscription is paused, a worker holds it when it is due. Bodies and answers are left
 * out: they never change, and are erased by the rules of each database.
 *
 * The tables are joined by lookups, in the partitions of the range only.
 */
const DIGESTS = `
  select w.id, w.bytes, (d.number + a.number)::integer as rows, concat_ws(' ', d.number, d.digest, a.number, a.digest) as digest
  from (
    select id, coalesce(octet_length(body), 0) as bytes
    from posthorn.webhook_payloads
    where tenant = $1 and tenant <> 'default' and id > $2 and id <= $3
    order by id
    limit $4
  ) as w
  cross join lateral (
    select count(*) as number, coalesce(sum(hashtextextended(
      row(subscription_id, case when state in ('pending', 'held') then 'unfinished' else state::text end,
        attempt_count, probe_count, schedule_offset, ended_at, next_attempt_at, reason)::text, 0)), 0) as digest
    from posthorn.deliveries
    where webhook_id = w.id and webhook_id > $2 and webhook_id <= $3
  ) as d
  cross join lateral (
    select count(*) as number, coalesce(sum(hashint8extended(id, 0)), 0) as digest
    from posthorn.delivery_attempts
    where webhook_id = w.id and webhook_id > $2 and webhook_id <= $3
  ) as a`;

interface Digest {
  readonly id: string;
  readonly bytes: number;
  readonly rows: number;
  readonly digest: string;
}

/** A range of ids: after the first one, and up to the last one. */
interface Range {
  readonly after: string;
  readonly upTo: string;
}

/**
 * Makes the history of a tenant at the target equal to that at the source: compares webhook by webhook, and copies
 * those of which any row differs. So the first round copies all, a later one what has changed since, one after a crash
 * goes on, and a round that copies nothing has compared all. Memory holds one batch.
 *
 * The target must be closed for the tenant, and have its subscriptions, paused. Deliveries that wait for a job are
 * copied without one: the target's workers look for these when they are due (deliveries/wake.sql.ts).
 *
 * @param since leaves out quiet days (quiet_history) in which nothing has ended since this time; undefined: no day.
 * @throws OperatorError if the target is open.
 */
export async function copyHistory(
  sides: Sides,
  tenant: string,
  since?: Date,
  onProgress: (copied: Copied) => void = () => {},
): Promise<Copied> {
  let webhooks = 0;
  let compared = 0;
  for (const { day, after, upTo } of await rangesOf(sides, since)) {
    for (let at = after; at !== upTo; ) {
      const ours = await digestsOf(sides.source, tenant, { after: at, upTo }, WINDOW);
      const end = ours.length < WINDOW ? upTo : (ours.at(-1) as Digest).id;
      const window = { after: at, upTo: end };
      const theirs = await digestsOf(sides.target, tenant, window, null);
      if (ours.length > 0) await makeDays(sides.target, day);
      const known = new Map(theirs.map(({ id, digest }) => [id, digest]));
      const wanted = new Set(ours.map(({ id }) => id));
      // The source has dropped these, or ids that a move back has left.
      const extra = theirs.filter(({ id }) => !wanted.has(id)).map(({ id }) => id);
      if (extra.length > 0) await replace(sides, tenant, extra, window);
      const different = ours.filter(({ id, digest }) => known.get(id) !== digest);
      for (const ids of batchesOf(different)) await replace(sides, tenant, ids, window);
      webhooks += different.length + extra.length;
      compared += ours.length;
      onProgress({ webhooks, compared });
      at = end;
    }
  }
  return { webhooks, compared };
}

/** Returns a time for `copyHistory`: what is committed at the source from now on has ended after it. */
export async function timeOf(source: pg.Pool): Promise<Date> {
  // A minute, because a delivery ends at the beginning of its transaction.
  const { rows } = await source.query<{ at: Date }>(
    `select least(now(), posthorn.uuidv7_time(posthorn.committed_before())) - interval '1 minute' as at`,
  );
  return (rows[0] as { at: Date }).at;
}

interface Day {
  readonly first: string;
  readonly last: string;
}

async function rangesOf(
  { source }: Sides,
  since: Date | undefined,
): Promise<(Range & { day: Day })[]> {
  // The least id of a millisecond is none of a webhook, because it has no version.
  const { rows } = await source.query<Range & Day>(
    `select posthorn.uuidv7_floor(p.from_at) as after, posthorn.uuidv7_floor(p.until_at) as "upTo",
       (p.from_at at time zone 'UTC')::date::text as first,
       ((p.until_at - interval '1 millisecond') at time zone 'UTC')::date::text as last
     from posthorn.list_partitions() p
     where p.parent = 'webhook_payloads' and p.from_at < now() + interval '1 day'
       and ($1::timestamptz is null or exists (
         select from posthorn.live_history($1) l
         where coalesce(posthorn.uuidv7_floor(p.from_at) < l.below_id, true)
           and coalesce(posthorn.uuidv7_floor(p.until_at) > l.from_id, true)))
     order by p.from_at`,
    [since ?? null],
  );
  return rows.map(({ after, upTo, first, last }) => ({ after, upTo, day: { first, last } }));
}

async function digestsOf(
  pool: pg.Pool,
  tenant: string,
  { after, upTo }: Range,
  limit: number | null,
): Promise<Digest[]> {
  const { rows } = await pool.query<Digest>(DIGESTS, [tenant, after, upTo, limit]);
  return rows;
}

/** Creates the partitions of the target for days of the source that it does not have, which cost it nothing else. */
async function makeDays(target: pg.Pool, { first, last }: Day): Promise<void> {
  await target.query('select posthorn.ensure_partitions($1::date, $2::date)', [first, last]);
}

function* batchesOf(digests: readonly Digest[]): Generator<string[]> {
  let ids: string[] = [];
  let bytes = 0;
  let rows = 0;
  for (const digest of digests) {
    const isFull = bytes + digest.bytes > BATCH_BYTES || rows + digest.rows > BATCH_ROWS;
    if (ids.length > 0 && isFull) {
      yield ids;
      ids = [];
      bytes = 0;
      rows = 0;
    }
    ids.push(digest.id);
    bytes += digest.bytes;
    rows += digest.rows + 1;
  }
  if (ids.length > 0) yield ids;
}

/**
 * Rows go from one Postgres to the other as the text of an array, which is not read here. (Not as JSON, of which Postgres
 * does not take apart what has `\u0000` in it.)
 */
const READ = `
  select
    (select array_agg(p)::text from posthorn.webhook_payloads p
      where p.id = any($1::uuid[]) and p.id > $2 and p.id <= $3) as payloads,
    (select array_agg(d)::text from posthorn.deliveries d
      where d.webhook_id = any($1::uuid[]) and d.webhook_id > $2 and d.webhook_id <= $3) as deliveries,
    (select array_agg(a)::text from posthorn.delivery_attempts a
      where a.webhook_id = any($1::uuid[]) and a.webhook_id > $2 and a.webhook_id <= $3) as attempts`;

/** Jobs, and workers that have a delivery in memory, are at the source. */
const WITHOUT_JOB = { handed_to: 'null', queued: `state <> 'pending'` };

interface Rows {
  readonly payloads: string | null;
  readonly deliveries: string | null;
  readonly attempts: string | null;
}

/** Deletes webhooks with all their rows at the target, and inserts those that the source has. */
async function replace(
  { source, target }: Sides,
  tenant: string,
  ids: readonly string[],
  { after, upTo }: Range,
): Promise<void> {
  const values = [ids, after, upTo];
  const { rows } = await source.query<Rows>(READ, values);
  const [read] = rows as [Rows];
  await whileClosed(target, tenant, async (client) => {
    for (const [table, id, rows] of [
      ['delivery_attempts', 'webhook_id', read.attempts],
      ['deliveries', 'webhook_id', read.deliveries],
      ['webhook_payloads', 'id', read.payloads],
    ] as const) {
      await client.query(
        `delete from posthorn.${table} where ${id} = any($1::uuid[]) and ${id} > $2 and ${id} <= $3`,
        values,
      );
      const changes = table === 'deliveries' ? WITHOUT_JOB : {};
      if (rows !== null) await insertRows(client, `posthorn.${table}`, rows, changes);
    }
    // The target's erasing of bodies has passed these ids already (maintenance/erase-bodies.ts).
    await client.query(
      `insert into posthorn.overdue_bodies (webhook_id)
       select id from unnest($1::uuid[]) as w (id)
       where id <= any (select through_id from posthorn.expired_bodies where tenant in ('', $2))
       on conflict do nothing`,
      [ids, tenant],
    );
  });
}
