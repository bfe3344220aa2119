import type pg from 'pg';
import type { Logger } from 'pino';
import { exportPartition, type PartitionExport } from '../archive/export-partition.ts';
import { LOCKS } from '../db/advisory-locks.ts';
import { isTimeout } from '../db/availability.ts';
import { daysEach, makePartitions } from '../db/partitions.ts';
import { errorMessage } from '../lib/errors.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';
import { quoted, REDUCED, reduceToFailed } from './failed-history.ts';
import { withPatientPool } from './patient-pool.ts';
import { forgetQuietHistory, noteQuietHistory } from './quiet-history.ts';

const DAY_MS = 86_400_000;
/** Idempotency keys are kept for this time. */
const KEYS_MS = DAY_MS;
/** A reserve that begins within this time is replaced by shorter partitions. */
const NEAR_DAYS = 3;
/** The order in which the tables of history lose a partition: what refers to other tables goes first. */
const TABLES = ['deliveries', 'delivery_attempts', 'webhook_payloads', 'idempotency_keys'] as const;

/** A partition, as posthorn.list_partitions() returns it. */
interface Partition {
  readonly parent: (typeof TABLES)[number];
  readonly name: string;
  readonly from_at: Date;
  readonly until_at: Date;
  readonly detaching: boolean;
  /** True if it has only failed deliveries (failed-history.ts). */
  readonly reduced: boolean;
}

/** How long history is kept, in milliseconds. */
interface Retention {
  readonly retentionMs: number;
  /** How long failed deliveries are kept, with their webhooks and attempts; left out: as long as the rest. */
  readonly failedRetentionMs?: number;
}

export interface PartitionKeeperOptions extends Retention {
  readonly databaseUrl: string;
  /** Where history is exported before it is dropped; undefined: it is not exported. */
  readonly archiveDir: string | undefined;
  /** Aborts when a stop can wait no longer. */
  readonly ending: AbortSignal;
  readonly loop: Loop;
  readonly log: Logger;
}

/** The folder to which history is exported, and the database from which it is read. */
type Archive = Pick<PartitionExport, 'databaseUrl' | 'dir'>;

/** Drops expired partitions (`keepPartitions`) when an hourly job runs it. */
export function createPartitionKeeper(options: PartitionKeeperOptions): Periodic {
  const { databaseUrl, archiveDir, ending, loop, log } = options;
  const archive = archiveDir === undefined ? undefined : { databaseUrl, dir: archiveDir };
  return createPeriodic({
    run: (goesOn) =>
      withPatientPool(databaseUrl, 'partitions', ending, async (pool) => {
        await noteQuietHistory(pool, goesOn);
        await keepPartitions(pool, options, log, goesOn, archive);
      }),
    loop,
  });
}

/** A partition that somebody dropped is missed for this time at most, by applications that send from SQL. */
const MAKE_EVERY_MS = 30_000;

/**
 * Creates the partitions of the coming week that are missing, twice a minute.
 *
 * @param longestMs how long the partitions are kept, with all or with some of their rows.
 */
export function createPartitionMaker(pool: pg.Pool, longestMs: number, loop: Loop): Periodic {
  return createPeriodic({
    everyMs: MAKE_EVERY_MS,
    run: () => makePartitions(pool, daysEach(longestMs)),
    loop,
  });
}

/**
 * Creates the partitions of the coming week, and drops those that are past their retention: of history, unless
 * a delivery in that time is unfinished, and of idempotency keys. If failed deliveries are kept for longer, a partition is
 * replaced by one with only these.
 *
 * A partition is detached with DETACH PARTITION … CONCURRENTLY before it is dropped. That waits until the
 * transactions have ended that may use the table, and blocks no other meanwhile; a plain DROP would stop intake
 * for as long as it waits. If the wait exceeds the statement timeout of the pool, the next run continues it.
 *
 * @param goesOn called before each partition is dropped; false ends the run.
 * @param archive where a partition is exported before it is dropped; undefined: it is not exported.
 * @throws the error of an export, after all other partitions were dropped; that partition stays.
 */
export async function keepPartitions(
  pool: pg.Pool,
  retention: Retention,
  log: Logger,
  goesOn: () => boolean = () => true,
  archive?: Archive,
): Promise<void> {
  const days = daysEach(retention.failedRetentionMs ?? retention.retentionMs);
  await makePartitions(pool, days);
  const client = await pool.connect();
  try {
    const { rows } = await client.query<{ mine: boolean }>(
      `select pg_try_advisory_lock(${LOCKS.retention}) as mine`,
    );
    if (rows[0]?.mine !== true) return;
    await finishDetached(client);
    if (await replaceReserves(client, days)) await makePartitions(client, days);
    await dropExpired(client, retention, log, goesOn, archive);
  } catch (error) {
    if (!isTimeout(error)) throw error;
    log.info('history is in use; the next run goes on to drop it');
  } finally {
    // Closing the connection releases the lock.
    client.release(true);
  }
}

async function dropExpired(
  client: pg.PoolClient,
  { retentionMs, failedRetentionMs = retentionMs }: Retention,
  log: Logger,
  goesOn: () => boolean,
  archive: Archive | undefined,
): Promise<void> {
  const owed = new Set<string>();
  const notExported = new Map<string, unknown>();
  for (const table of TABLES) {
    const keepMs = table === 'idempotency_keys' ? KEYS_MS : retentionMs;
    for (const partition of await expired(client, table, keepMs)) {
      if (!goesOn()) return;
      const day = partition.from_at.toISOString().slice(0, 10);
      const keepsFailed =
        table !== 'idempotency_keys' &&
        failedRetentionMs > retentionMs &&
        partition.until_at.getTime() > Date.now() - failedRetentionMs;
      if (keepsFailed && partition.reduced) continue;
      const kept = table === 'idempotency_keys' ? null : await owedIn(client, partition);
      if (kept !== null) {
        if (!owed.has(day) && kept === 'due')
          log.warn(
            { day },
            'history kept past its retention: deliveries of that day are still owed',
          );
        if (!owed.has(day) && kept === 'scheduled')
          log.info({ day }, 'history kept past its retention: webhooks of that day are scheduled');
        owed.add(day);
        continue;
      }
      // A reduced one was exported when it had everything.
      if (archive !== undefined && table !== 'idempotency_keys' && !partition.reduced) {
        // The tables of a day are dropped together, as far as possible.
        if (notExported.has(day)) continue;
        try {
          const { from_at: from, until_at: until } = partition;
          if (!(await exportPartition({ ...archive, parent: table, from, until }, goesOn))) return;
        } catch (error) {
          log.warn(
            { day, table, reason: errorMessage(error) },
            'history kept past its retention: it could not be exported',
          );
          notExported.set(day, error);
          continue;
        }
      }
      await detach(client, partition, keepsFailed);
      if (table === 'deliveries') log.info({ day, keepsFailed }, 'history dropped');
    }
  }
  // In other words than the cause, which may be a timeout, and that alone would be no failure.
  for (const [day, cause] of notExported)
    throw new Error(`history of ${day} could not be exported: ${errorMessage(cause)}`, { cause });
}

/**
 * Removes the reserve of a table (db/partitions.ts) when its time comes near, so that shorter partitions can
 * be created for that time. It is still empty, unless the database's clock was days ahead: then it stays.
 *
 * @returns whether it removed one.
 */
async function replaceReserves(client: pg.PoolClient, daysOfHistory: number): Promise<boolean> {
  const near = (await partitions(client)).filter(({ parent, from_at, until_at }) => {
    const days = parent === 'idempotency_keys' ? 1 : daysOfHistory;
    const inMs = from_at.getTime() - Date.now();
    return (
      inMs > DAY_MS / 2 &&
      inMs < NEAR_DAYS * DAY_MS &&
      until_at.getTime() - from_at.getTime() > days * DAY_MS
    );
  });
  let removed = false;
  for (const partition of near) {
    if (!(await isEmpty(client, partition.name))) continue;
    await detach(client, partition, false);
    removed = true;
  }
  return removed;
}

/** Detaches the partition and drops it, or all but its failed deliveries. Interrupted at any point, `finishDetached` does the rest. */
async function detach(
  client: pg.PoolClient,
  partition: Partition,
  keepsFailed: boolean,
): Promise<void> {
  await forgetQuietHistory(client, partition.from_at);
  await client.query(
    `comment on table posthorn.${quoted(partition.name)} is '${markOf(partition, keepsFailed)}'`,
  );
  await client.query(
    `alter table posthorn.${partition.parent} detach partition posthorn.${quoted(partition.name)} concurrently`,
  );
  await finish(client, partition, keepsFailed);
}

/** Continues with the partitions that an earlier run began to detach. Tables that others detached stay. */
async function finishDetached(client: pg.PoolClient): Promise<void> {
  const { rows } = await client.query<{ name: string; mark: string; attached: boolean }>(
    `select c.relname as name, obj_description(c.oid, 'pg_class') as mark, c.relispartition as attached
     from pg_catalog.pg_class c
     where c.relnamespace = 'posthorn'::regnamespace and c.relkind = 'r'
       and obj_description(c.oid, 'pg_class') like '${MARK}%'`,
  );
  const detaching = new Set(
    (await partitions(client)).filter((p) => p.detaching).map(({ name }) => name),
  );
  for (const { name, mark, attached } of rows) {
    const [parent = '', from = '', until = '', kept] = mark.slice(MARK.length).split(' ');
    const partition = {
      parent: parent as Partition['parent'],
      name,
      from_at: new Date(from),
      until_at: new Date(until),
      detaching: true,
      reduced: false,
    };
    if (detaching.has(name))
      await client.query(
        `alter table posthorn.${parent} detach partition posthorn.${quoted(name)} finalize`,
      );
    // It was marked, and its detaching never began.
    else if (attached) continue;
    await finish(client, partition, kept === KEPT);
  }
}

/**
 * Drops a detached table, or all of it but its failed deliveries. If rows came into it that must stay, while it was being
 * detached, it is attached again: a delivery that a person has made unfinished, or anything in a reserve.
 */
async function finish(
  client: pg.PoolClient,
  partition: Partition,
  keepsFailed: boolean,
): Promise<void> {
  const { parent, name, from_at } = partition;
  const needed =
    from_at.getTime() > Date.now()
      ? !(await isEmpty(client, name))
      : parent === 'deliveries' && !(await isEmpty(client, name, UNFINISHED));
  if (needed) {
    await attach(client, partition);
    await client.query(`comment on table posthorn.${quoted(name)} is null`);
  } else if (!keepsFailed) {
    await client.query(`drop table posthorn.${quoted(name)}`);
  } else {
    await client.query('begin');
    try {
      if (await reduceToFailed(client, partition)) {
        await attach(client, partition);
        await client.query(`comment on table posthorn.${quoted(name)} is '${REDUCED}'`);
      }
      await client.query('commit');
    } catch (error) {
      await client.query('rollback');
      throw error;
    }
  }
}

async function attach(
  client: pg.PoolClient,
  { parent, name, from_at, until_at }: Partition,
): Promise<void> {
  const bounds = [from_at, until_at].map((at) => `'${at.toISOString()}'::timestamptz`);
  const [least, greatest] =
    parent === 'idempotency_keys' ? bounds : bounds.map((at) => `posthorn.uuidv7_floor(${at})`);
  await client.query(
    `alter table posthorn.${parent} attach partition posthorn.${quoted(name)} for values from (${least}) to (${greatest})`,
  );
}

const UNFINISHED = `state in ('pending', 'held')`;
/** The comment of a table that this file detaches. */
const MARK = 'being dropped by Posthorn: ';

/** Ends that comment if failed deliveries are kept. */
const KEPT = 'except-failed';

function markOf({ parent, from_at, until_at }: Partition, keepsFailed: boolean): string {
  return `${MARK}${parent} ${from_at.toISOString()} ${until_at.toISOString()}${keepsFailed ? ` ${KEPT}` : ''}`;
}

async function partitions(client: pg.PoolClient): Promise<Partition[]> {
  const { rows } = await client.query<Partition>(
    'select *, false as reduced from posthorn.list_partitions()',
  );
  return rows;
}

/** Returns the partitions of a table whose last row is older than that, the oldest first. */
async function expired(
  client: pg.PoolClient,
  table: Partition['parent'],
  keepMs: number,
): Promise<Partition[]> {
  const { rows } = await client.query<Partition>(
    `select *, obj_description(format('posthorn.%I', name)::regclass, 'pg_class') is not distinct from '${REDUCED}' as reduced
     from posthorn.list_partitions()
     where parent = $1 and not detaching and until_at <= now() - $2 * interval '1 millisecond'
     order by from_at`,
    [table, keepMs],
  );
  return rows;
}

/** Returns whether unfinished deliveries of that time are due, or scheduled for later; null: there are none. */
async function owedIn(
  client: pg.PoolClient,
  { from_at, until_at }: Partition,
): Promise<'due' | 'scheduled' | null> {
  const { rows } = await client.query<{ scheduled: boolean }>(
    `select next_attempt_at > now() and attempt_count = 0 as scheduled
     from posthorn.deliveries
     where webhook_id >= posthorn.uuidv7_floor($1) and webhook_id < posthorn.uuidv7_floor($2) and ${UNFINISHED}
     order by next_attempt_at
     limit 1`,
    [from_at, until_at],
  );
  if (rows[0] === undefined) return null;
  return rows[0].scheduled ? 'scheduled' : 'due';
}

async function isEmpty(client: pg.PoolClient, name: string, where = 'true'): Promise<boolean> {
  const { rows } = await client.query<{ empty: boolean }>(
    `select not exists (select from posthorn.${quoted(name)} where ${where}) as empty`,
  );
  return rows[0]?.empty === true;
}
