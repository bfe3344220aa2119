import type pg from 'pg';
import type { Logger } from 'pino';
import { plainArray } from '../db/arrays.ts';
import { inTransaction } from '../db/transaction.ts';
import { bounds, isIn } from '../deliveries/load.sql.ts';
import { BODIES_LOCK } from '../deliveries/owe-again.sql.ts';

/** Webhooks that are gone through in one transaction. */
const BATCH = 1_000;
/** What the bodies may have together that one statement erases: Postgres deletes each of their pages. */
const STATEMENT_BYTES = 64 * 1024 * 1024;
/** A run leaves what it has not come to for the next hour's. */
const MAX_RUN_MS = 10 * 60_000;
/** Of all tenants, where they have no retention of their own. */
const ALL = '';
const FIRST_ID = '00000000-0000-0000-0000-000000000000';

export interface BodyKeeperOptions {
  readonly pool: pg.Pool;
  /** How long history is kept. */
  readonly retentionMs: number;
  /** How long bodies and answers are, at most as long. */
  readonly payloadRetentionMs: number;
  readonly log: Logger;
}

export interface BodyKeeper {
  /**
   * Makes the bodies and answers null whose retention is over.
   *
   * @param mayGoOn asked before each batch.
   */
  run(mayGoOn: () => boolean): Promise<void>;
}

/**
 * Erases bodies and answers before their history is dropped: of all tenants by the setting, and of a
 * tenant with a shorter retention of its own by that.
 *
 * History is dropped a day at a time, but one day's bodies may be kept for different times, so their
 * columns are made null. That writes a small new version of the row (some 100 bytes) and its index
 * entry; and, in the write-ahead log, each page once more. Rows are gone through in the order of ids,
 * which is that of the pages, so that each page is written once a pass, and each row is passed once:
 * how far it has come is kept. The space is free within the day's partition once autovacuum has been
 * there, but stays the partition's until the day is dropped, since nothing is inserted into a day that
 * is over: this is for what must not be kept, not for the disk. Whoever wants the disk back at once
 * has `vacuum full` for a day's partition, which stops whoever reads that day meanwhile.
 *
 * What is owed keeps its body: it is written down, and looked at again in the next hour.
 */
export function createBodyKeeper(options: BodyKeeperOptions): BodyKeeper {
  const { pool, retentionMs, payloadRetentionMs, log } = options;

  async function run(mayGoOn: () => boolean): Promise<void> {
    const endAt = performance.now() + MAX_RUN_MS;
    const goesOn = () => mayGoOn() && performance.now() < endAt;
    let erased = await eraseOverdue(goesOn);
    if (payloadRetentionMs < retentionMs) erased += await pass(ALL, payloadRetentionMs, goesOn);
    for (const { id, retention_ms } of await tenantsWithOwn())
      erased += await pass(id, retention_ms, goesOn);
    if (erased > 0) log.info({ webhooks: erased }, 'bodies erased, as their retention is over');
  }

  /** Goes on from where the last pass ended, up to what is just old enough. */
  async function pass(tenant: string, keepMs: number, goesOn: () => boolean): Promise<number> {
    let erased = 0;
    while (goesOn()) {
      const ids = await inTransaction(pool, async (client) => {
        const batch = await nextBatch(client, tenant, keepMs);
        const last = batch.at(-1);
        if (last === undefined) return batch;
        await client.query(
          `insert into posthorn.expired_bodies (tenant, through_id) values ($1, $2)
           on conflict (tenant) do update set through_id = excluded.through_id`,
          [tenant, last],
        );
        erased += await erase(client, batch);
        return batch;
      });
      if (ids.length < BATCH) break;
    }
    return erased;
  }

  async function eraseOverdue(goesOn: () => boolean): Promise<number> {
    let erased = 0;
    for (let after = FIRST_ID; goesOn(); ) {
      const ids = await inTransaction(pool, async (client) => {
        const { rows } = await client.query<{ id: string }>(
          `select webhook_id::text as id from posthorn.overdue_bodies
           where webhook_id > $1 order by webhook_id limit ${BATCH}`,
          [after],
        );
        const batch = rows.map(({ id }) => id);
        if (batch.length > 0) {
          await client.query('delete from posthorn.overdue_bodies where webhook_id = any($1)', [
            batch,
          ]);
          erased += await erase(client, batch);
        }
        return batch;
      });
      after = ids.at(-1) ?? after;
      if (ids.length < BATCH) break;
    }
    return erased;
  }

  /** Tenants that keep less than the setting says. */
  async function tenantsWithOwn(): Promise<{ id: string; retention_ms: number }[]> {
    const { rows } = await pool.query<{ id: string; retention_ms: number }>(
      `select id, retention_ms from posthorn.tenants where retention_ms < $1 order by id`,
      [payloadRetentionMs],
    );
    return rows;
  }

  return { run };
}

/** The ids that come next, the oldest first. */
async function nextBatch(client: pg.PoolClient, tenant: string, keepMs: number): Promise<string[]> {
  const { rows } = await client.query<{ through: string; end: string }>(
    `select
       coalesce((select through_id from posthorn.expired_bodies where tenant = $1), '${FIRST_ID}')::text as through,
       posthorn.uuidv7_floor(now() - $2 * interval '1 millisecond')::text as end`,
    [tenant, keepMs],
  );
  const { through = FIRST_ID, end = FIRST_ID } = rows[0] ?? {};
  // An index has the webhooks of other tenants than the default one.
  const ofTenant =
    tenant === ALL
      ? '$4 = $4'
      : tenant === 'default'
        ? 'tenant = $4'
        : `tenant = $4 and tenant <> 'default'`;
  const batch = await client.query<{ id: string }>(
    `select id::text from posthorn.webhook_payloads
     where id > $1 and id < $2 and ${ofTenant} order by id limit $3`,
    [through, end, BATCH, tenant],
  );
  return batch.rows.map(({ id }) => id);
}

/**
 * Makes the bodies and answers of webhooks null, but not of those that are owed.
 *
 * @returns how many bodies there were.
 */
async function erase(client: pg.PoolClient, ids: readonly string[]): Promise<number> {
  // Alone, so that no delivery is made owed again whose body is erased (deliveries/owe-again.sql.ts).
  await client.query(`select pg_advisory_xact_lock(${BODIES_LOCK})`);
  const values = [plainArray(ids), ...bounds(ids)];
  const { rows } = await client.query<{ id: string }>(
    `with owed as materialized (
       select distinct webhook_id from posthorn.deliveries
       where webhook_id = any($1::uuid[]) and webhook_id between $2 and $3
         and ${isIn('deliveries', 'pending', 'held')}
     ), left_over as (
       insert into posthorn.overdue_bodies (webhook_id) select webhook_id from owed on conflict do nothing
     )
     select id::text from unnest($1::uuid[]) as given (id)
     where id not in (select webhook_id from owed)`,
    values,
  );
  const over = rows.map(({ id }) => id);
  if (over.length === 0) return 0;
  const erasable = [plainArray(over), ...bounds(over)];
  await client.query(
    `update posthorn.delivery_attempts set response_excerpt = null
     where webhook_id = any($1::uuid[]) and webhook_id between $2 and $3 and response_excerpt is not null`,
    erasable,
  );
  const { rows: bodies } = await client.query<{ id: string; bytes: number }>(
    `select id::text, length(body) as bytes from posthorn.webhook_payloads
     where id = any($1::uuid[]) and id between $2 and $3 and body is not null`,
    erasable,
  );
  for (const portion of portionsOf(bodies, STATEMENT_BYTES))
    await client.query(
      `update posthorn.webhook_payloads set body = null
       where id = any($1::uuid[]) and id between $2 and $3`,
      [plainArray(portion), ...bounds(portion)],
    );
  return bodies.length;
}

/** Ids in portions whose bodies have at most so many bytes together, or of one id each. */
function portionsOf(
  bodies: readonly { id: string; bytes: number }[],
  maxBytes: number,
): string[][] {
  const portions: string[][] = [];
  let total = Number.POSITIVE_INFINITY;
  for (const { id, bytes } of bodies) {
    if (total + bytes > maxBytes) {
      portions.push([]);
      total = 0;
    }
    portions.at(-1)?.push(id);
    total += bytes;
  }
  return portions;
}
