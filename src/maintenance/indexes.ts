import type pg from 'pg';
import type { Logger } from 'pino';
import { isTimeout } from '../db/availability.ts';
import { errorMessage } from '../lib/errors.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';
import { withPatientPool } from './patient-pool.ts';

/** An index that a partition lacks. */
interface Missing {
  readonly parent: string;
  readonly partition: string;
  /** The SQL that creates the parent's index. */
  readonly definition: string;
  /** The index's name on the partition; `unfinished`: an invalid index of that name was left behind. */
  readonly name: string;
  readonly unfinished: boolean;
}

export interface IndexMakerOptions {
  readonly databaseUrl: string;
  /** For finding what is missing. */
  readonly pool: pg.Pool;
  /** Aborts when a stop can wait no longer. An unfinished index is created again. */
  readonly ending: AbortSignal;
  readonly loop: Loop;
  readonly log: Logger;
}

/**
 * Creates missing indexes of past days (`makeMissingIndexes`) when an hourly job runs it, on a connection of
 * its own, since an index takes longer than any statement of other pools may.
 */
export function createIndexMaker(options: IndexMakerOptions): Periodic {
  const { databaseUrl, pool, ending, loop, log } = options;

  async function run(): Promise<void> {
    if (!(await lacksIndexes(pool))) return;
    await withPatientPool(databaseUrl, 'indexes', ending, (patientPool) =>
      makeMissingIndexes(patientPool, () => !ending.aborted, log),
    );
  }

  return createPeriodic({ run, loop });
}

/**
 * Creates the indexes that a migration added to history, on the days that existed before: one partition
 * at a time, without locking it against writes, and attaches each to the whole index. Indexing all of
 * history at once would stop intake for that time.
 *
 * @param pool its statements may take as long as an index of a day.
 * @returns how many were created.
 * @throws the first error other than a timeout, after all were tried.
 */
export async function makeMissingIndexes(
  pool: pg.Pool,
  goesOn: () => boolean,
  log: Logger,
): Promise<number> {
  let made = 0;
  const errors: unknown[] = [];
  for (const { parent, partition, definition, name, unfinished } of await missingIndexes(pool)) {
    if (!goesOn()) break;
    try {
      if (unfinished) await pool.query(`drop index concurrently posthorn.${name}`);
      await pool.query(
        definition.replace(
          /^CREATE INDEX \S+ ON ONLY \S+/,
          `create index concurrently ${name} on posthorn.${partition}`,
        ),
      );
      // The lock is waited for no longer than intake may wait behind it; the next run attaches it.
      await pool.query(
        `set local lock_timeout = '200ms'; alter index posthorn.${parent} attach partition posthorn.${name}`,
      );
      made += 1;
      log.info({ index: name }, 'created an index on a past day');
    } catch (error) {
      if (!isTimeout(error)) errors.push(error);
      log.info({ index: name, reason: errorMessage(error) }, 'an index will be created later');
    }
  }
  if (errors.length > 0) throw errors[0];
  return made;
}

/** Returns whether a partition lacks an index that history has as a whole. */
export async function lacksIndexes(pool: pg.Pool): Promise<boolean> {
  return (await missingIndexes(pool)).length > 0;
}

async function missingIndexes(pool: pg.Pool): Promise<Missing[]> {
  const { rows } = await pool.query<Missing>(`
    select whole.relname as parent, child.relname as partition,
      pg_get_indexdef(i.indexrelid) as definition,
      left(child.relname || '_' || md5(whole.relname), 63) as name,
      to_regclass('posthorn.' || left(child.relname || '_' || md5(whole.relname), 63)) is not null as unfinished
    from pg_catalog.pg_index i
    join pg_catalog.pg_class whole on whole.oid = i.indexrelid and whole.relkind = 'I'
    join pg_catalog.pg_inherits p on p.inhparent = i.indrelid
    join pg_catalog.pg_class child on child.oid = p.inhrelid
    where i.indrelid::regclass in (
        'posthorn.webhook_payloads'::regclass, 'posthorn.deliveries'::regclass, 'posthorn.delivery_attempts'::regclass)
      and not i.indisvalid
      and not exists (
        select from pg_catalog.pg_inherits a
        join pg_catalog.pg_index part on part.indexrelid = a.inhrelid
        where a.inhparent = i.indexrelid and part.indrelid = child.oid)
    -- The newest days are read most.
    order by child.relname desc, whole.relname`);
  return rows;
}
