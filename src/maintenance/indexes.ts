import type pg from 'pg';
import type { Logger } from 'pino';
import { isTimeout } from '../db/availability.ts';
import { errorMessage } from '../lib/errors.ts';

/** An index that a partition lacks. */
interface Missing {
  readonly parent: string;
  readonly partition: string;
  /** What the parent's is, as SQL that makes it. */
  readonly definition: string;
  /** Its name on the partition, and whether something of that name was left unfinished. */
  readonly name: string;
  readonly unfinished: boolean;
}

/**
 * Makes the indexes that migrations gave to history as a whole, on the days that were there already:
 * one partition at a time, without locking it against writes, and then as a part of the whole. An
 * index over all of history at once would stop intake for as long as that takes.
 *
 * @param pool whose statements may take as long as an index of a day does.
 * @returns how many were made.
 * @throws the first error that says more than that a lock could not be had, once the others were tried.
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
        `set lock_timeout = '200ms'; alter index posthorn.${parent} attach partition posthorn.${name}; reset lock_timeout`,
      );
      made += 1;
      log.info({ index: name }, 'an index of a day that was there before it is made');
    } catch (error) {
      if (!isTimeout(error)) errors.push(error);
      log.info({ index: name, reason: errorMessage(error) }, 'an index will be made later');
    }
  }
  if (errors.length > 0) throw errors[0];
  return made;
}

/** Whether a partition lacks an index that history has as a whole. */
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
    -- The newest days are asked for most.
    order by child.relname desc, whole.relname`);
  return rows;
}
