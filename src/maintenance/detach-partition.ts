import type pg from 'pg';
import { quoted, REDUCED, reduceToFailed } from './failed-history.ts';
import { isEmpty, type Partition, partitions, UNFINISHED } from './partition-list.sql.ts';
import { forgetQuietHistory } from './quiet-history.ts';

/** The comment of a table that this file detaches. */
const MARK = 'being dropped by Posthorn: ';
/** Ends that comment if failed deliveries are kept. */
const KEPT = 'except-failed';

function markOf({ parent, from_at, until_at }: Partition, keepsFailed: boolean): string {
  return `${MARK}${parent} ${from_at.toISOString()} ${until_at.toISOString()}${keepsFailed ? ` ${KEPT}` : ''}`;
}

/**
 * Detaches the partition and drops it, or all but its failed deliveries. If this is interrupted at any point,
 * `finishDetached` does the rest.
 *
 * DETACH PARTITION … CONCURRENTLY waits until the transactions have ended that may use the table, and blocks no other
 * meanwhile; a plain DROP would stop intake for as long as it waits. If the wait exceeds the statement timeout of the
 * pool, the next run continues it.
 */
export async function detach(
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
export async function finishDetached(client: pg.PoolClient): Promise<void> {
  const { rows } = await client.query<{ name: string; mark: string; attached: boolean }>(
    `select c.relname as name, obj_description(c.oid, 'pg_class') as mark, c.relispartition as attached
     from pg_catalog.pg_class c
     where c.relnamespace = 'posthorn'::regnamespace and c.relkind = 'r'
       and obj_description(c.oid, 'pg_class') like '${MARK}%'`,
  );
  if (rows.length === 0) return;
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
