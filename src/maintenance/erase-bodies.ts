import type pg from 'pg';
import type { Logger } from 'pino';
import { LOCKS } from '../db/advisory-locks.ts';
import { idsWithBounds, isIn, isOneOf } from '../db/planner.ts';
import { inTransaction } from '../db/transaction.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';

/** Webhooks that one transaction goes through. */
const BATCH = 1_000;
/** Bytes of bodies that one statement erases: Postgres deletes each of their pages. */
const STATEMENT_BYTES = 64 * 1024 * 1024;
/** A run ends after this time; the next hour's goes on. */
const MAX_RUN_MS = 10 * 60_000;
/** Stands for all tenants without a retention of their own. */
const ALL = '';
const FIRST_ID = '00000000-0000-0000-0000-000000000000';

export interface BodyKeeperOptions {
  readonly pool: pg.Pool;
  /** How long history is kept. */
  readonly retentionMs: number;
  /** How long bodies and answers are kept: no longer than history. */
  readonly payloadRetentionMs: number;
  readonly loop: Loop;
  readonly log: Logger;
}

/**
 * Erases bodies and answers before their history is dropped: by the setting for all tenants, or by a
 * tenant's own shorter retention.
 *
 * History is dropped a day at a time, but one day's bodies may be kept for different times, so their
 * columns are made null. That writes a small new version of the row (some 100 bytes) and its index
 * entry; and, in the write-ahead log, each page once more. A pass goes through rows in the order of ids,
 * which is that of the pages, so that each page is written once, and stores how far it has come, so
 * that each row is visited once. Autovacuum frees the space within the day's partition, but the disk
 * gets it back only when the day is dropped, since nothing is inserted into a past day: this serves
 * privacy, not the disk. `vacuum full` of a day's partition frees the disk at once, and blocks readers
 * of that day meanwhile.
 *
 * An owed webhook keeps its body: it is written to `overdue_bodies` and looked at again in the next hour.
 * An hourly job runs it.
 */
export function createBodyKeeper(options: BodyKeeperOptions): Periodic {
  const { pool, retentionMs, payloadRetentionMs, loop, log } = options;

  async function run(mayGoOn: () => boolean): Promise<void> {
    const endAt = performance.now() + MAX_RUN_MS;
    const goesOn = () => mayGoOn() && performance.now() < endAt;
    let erased = await eraseOverdue(goesOn);
    if (payloadRetentionMs < retentionMs) erased += await pass(ALL, payloadRetentionMs, goesOn);
    for (const { id, retention_ms } of await tenantsWithOwn())
      erased += await pass(id, retention_ms, goesOn);
    if (erased > 0) log.info({ webhooks: erased }, 'bodies erased, as their retention is over');
  }

  /** Goes on from where the last pass ended, up to the youngest webhooks that are old enough. */
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

  /** Returns tenants with a shorter retention than the setting's. */
  async function tenantsWithOwn(): Promise<{ id: string; retention_ms: number }[]> {
    const { rows } = await pool.query<{ id: string; retention_ms: number }>(
      `select id, retention_ms from posthorn.tenants where retention_ms < $1 order by id`,
      [payloadRetentionMs],
    );
    return rows;
  }

  return createPeriodic({ run, loop });
}

/** Returns the next ids, the oldest first. */
async function nextBatch(client: pg.PoolClient, tenant: string, keepMs: number): Promise<string[]> {
  const { rows } = await client.query<{ through: string; end: string }>(
    `select
       coalesce((select through_id from posthorn.expired_bodies where tenant = $1), '${FIRST_ID}')::text as through,
       posthorn.uuidv7_floor(now() - $2 * interval '1 millisecond')::text as end`,
    [tenant, keepMs],
  );
  const { through = FIRST_ID, end = FIRST_ID } = rows[0] ?? {};
  // The index by tenant leaves out the default tenant's webhooks.
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
 * Erases the bodies and answers of webhooks, except of those that are owed.
 *
 * @returns how many bodies were erased.
 */
async function erase(client: pg.PoolClient, ids: readonly string[]): Promise<number> {
  // Exclusive, so that no delivery whose body is erased is made owed again (schema/functions/reopen.sql).
  await client.query(`select pg_advisory_xact_lock(${LOCKS.bodies})`);
  const values = idsWithBounds(ids);
  const { rows } = await client.query<{ id: string }>(
    `with owed as materialized (
       select distinct webhook_id from posthorn.deliveries
       where ${isOneOf('webhook_id', 1)}
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
  const erasable = idsWithBounds(over);
  await client.query(
    `update posthorn.delivery_attempts set response_excerpt = null
     where ${isOneOf('webhook_id', 1)} and response_excerpt is not null`,
    erasable,
  );
  const { rows: bodies } = await client.query<{ id: string; bytes: number }>(
    `select id::text, length(body) as bytes from posthorn.webhook_payloads
     where ${isOneOf('id', 1)} and body is not null`,
    erasable,
  );
  for (const portion of portionsOf(bodies, STATEMENT_BYTES))
    await client.query(
      `update posthorn.webhook_payloads set body = null, headers = null
       where ${isOneOf('id', 1)}`,
      idsWithBounds(portion),
    );
  return bodies.length;
}

/** Splits ids into portions whose bodies have at most `maxBytes` together; a larger body has its own. */
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
