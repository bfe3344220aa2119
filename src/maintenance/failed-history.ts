import type pg from 'pg';

/** The comment of a partition that has only failed deliveries, their attempts and their webhooks. */
export const REDUCED = 'Posthorn keeps only failed deliveries here';

/**
 * Which rows of a detached table are kept. The deliveries are reduced first, and the other tables follow what is left of
 * them, whatever its state: a person may have retried a failed delivery meanwhile.
 */
const KEPT: Readonly<Record<string, string>> = {
  deliveries: `old.state = 'failed'`,
  delivery_attempts: `exists (
    select from posthorn.deliveries d
    where d.webhook_id = old.webhook_id and d.subscription_id = old.subscription_id
      and d.webhook_id >= posthorn.uuidv7_floor($1) and d.webhook_id < posthorn.uuidv7_floor($2))`,
  webhook_payloads: `exists (
    select from posthorn.deliveries d
    where d.webhook_id = old.id
      and d.webhook_id >= posthorn.uuidv7_floor($1) and d.webhook_id < posthorn.uuidv7_floor($2))`,
};

/**
 * Replaces a detached table of history by a copy that has only what belongs to failed deliveries, and drops it. The copy
 * is not attached yet. Nobody else reads or writes a detached table, so this takes no lock that others wait for, and
 * nothing of it can change meanwhile. All of it is one transaction of the caller.
 *
 * Rejected: deleting the other rows, which writes as much again and gives the disk nothing back; and copying before the
 * table is detached, because a person may retry one of its deliveries meanwhile.
 *
 * @returns false if nothing was kept, and the table is gone.
 */
export async function reduceToFailed(
  client: pg.ClientBase,
  {
    parent,
    name,
    from_at,
    until_at,
  }: { parent: string; name: string; from_at: Date; until_at: Date },
): Promise<boolean> {
  const [old, copy] = [name, `${name.slice(0, 50)}_failed`].map(quoted);
  // A day may have millions of failed deliveries. A stop ends the statement with its connection.
  await client.query('set local statement_timeout = 0');
  await client.query(
    `create table posthorn.${copy} (like posthorn.${old} including all excluding indexes)`,
  );
  const { rowCount } = await client.query(
    `insert into posthorn.${copy} select old.* from posthorn.${old} as old where ${KEPT[parent]}`,
    parent === 'deliveries' ? [] : [from_at, until_at],
  );
  await client.query(`drop table posthorn.${old}`);
  if (rowCount === 0) {
    await client.query(`drop table posthorn.${copy}`);
    return false;
  }
  if (parent === 'delivery_attempts')
    await client.query(`alter table posthorn.${copy} replica identity full`);
  await client.query(`alter table posthorn.${copy} rename to ${old}`);
  return true;
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
