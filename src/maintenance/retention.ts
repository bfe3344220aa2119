import type pg from 'pg';
import type { Logger } from 'pino';
import { exportPartition, type PartitionExport } from '../archive/export-partition.ts';
import { LOCKS } from '../db/advisory-locks.ts';
import { isTimeout } from '../db/availability.ts';
import { daysEach, makePartitions } from '../db/partitions.ts';
import { errorMessage } from '../lib/errors.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';
import { detach, finishDetached } from './detach-partition.ts';
import { expired, owedIn } from './partition-list.sql.ts';
import { withPatientPool } from './patient-pool.ts';
import { noteQuietHistory } from './quiet-history.ts';
import { replaceReserves } from './replace-reserves.ts';

/** Idempotency keys are kept for this time. */
const KEYS_MS = 86_400_000;

/** How long history is kept, in milliseconds. */
interface Retention {
  readonly retentionMs: number;
  /** How long failed deliveries are kept, with their webhooks and attempts; left out: as long as the rest. */
  readonly failedRetentionMs?: number;
}

export interface RetentionOptions extends Retention {
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
export function createPartitionKeeper(options: RetentionOptions): Periodic {
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

/**
 * Creates the partitions of the coming week, and drops those that are past their retention: of history, unless
 * a delivery in that time is unfinished, and of idempotency keys. If failed deliveries are kept for longer, a partition is
 * replaced by one with only these.
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
  const partitions = await expired(client, {
    deliveries: retentionMs,
    delivery_attempts: retentionMs,
    webhook_payloads: retentionMs,
    idempotency_keys: KEYS_MS,
  });
  for (const partition of partitions) {
    const { parent: table } = partition;
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
        log.warn({ day }, 'history kept past its retention: deliveries of that day are still owed');
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
  // In other words than the cause, which may be a timeout, and that alone would be no failure.
  for (const [day, cause] of notExported)
    throw new Error(`history of ${day} could not be exported: ${errorMessage(cause)}`, { cause });
}
