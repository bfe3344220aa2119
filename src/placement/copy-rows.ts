import pg from 'pg';
import { textArray } from '../db/arrays.ts';
import type { Sides } from './copy-history.ts';
import { insertRows, whileClosed } from './mover.ts';

/** Why a subscription is paused during a move. `leave.ts` and the end of a move resume those with this reason. */
export const MOVING_REASON = 'Its tenant is being moved to another database.';

/** How the rows of a tenant are found in a table, and which of their columns are not as at the source. */
interface Table {
  readonly name: string;
  /** SQL condition on the row `t`. Left out: its column `tenant`. */
  readonly of?: (tenant: string) => string;
  /** As `insertRows` takes it. */
  readonly changes?: Readonly<Record<string, string | null>>;
}

const ofSubscription = (tenant: string) =>
  `t.subscription_id in (select s.id from posthorn.subscriptions s where s.tenant = ${tenant})`;

/** What workers and the API need before the first delivery. Subscriptions are paused, so nothing is sent. */
const SETTINGS: readonly Table[] = [
  { name: 'event_types' },
  { name: 'keys' },
  {
    name: 'subscriptions',
    changes: {
      status: `case status when 'active' then 'paused' else status end`,
      status_reason: `case status when 'active' then ${pg.escapeLiteral(MOVING_REASON)} else status_reason end`,
    },
  },
  { name: 'circuits', of: ofSubscription },
];

/** What changes all the time, and is copied when nothing changes any more. */
const REST: readonly Table[] = [
  ...SETTINGS,
  { name: 'leases', of: ofSubscription },
  { name: 'notices', changes: { id: null } },
  { name: 'tasks' },
  // Older ones do not count, and the target may have no partition for them.
  {
    name: 'idempotency_keys',
    of: (tenant) => `t.tenant = ${tenant} and t.created_at > now() - interval '24 hours'`,
  },
];

/** Rows of a part. Most have less than 1 KiB. */
const PART = 2_000;

/** Replaces the settings of a tenant at the target: its row, event types, keys, subscriptions and circuits. */
export async function copySettings(sides: Sides, tenant: string): Promise<void> {
  await copyTables(sides, tenant, SETTINGS);
}

/** Does the same once more, with leases, notices, ended bulk operations and idempotency keys. */
export async function copyRest(sides: Sides, tenant: string): Promise<void> {
  await copyTables(sides, tenant, REST);
}

async function copyTables(sides: Sides, tenant: string, tables: readonly Table[]): Promise<void> {
  const { source, target } = sides;
  await whileClosed(target, tenant, async (to) => {
    const from = await source.connect();
    try {
      await from.query('begin isolation level repeatable read read only');
      await copyTenant(from, to, tenant);
      // Browsers that are signed in with a key of the tenant would keep it from being replaced.
      await to.query(
        `delete from posthorn.sessions where portal_tenant = $1
           or key_id in (select id from posthorn.keys where tenant = $1)`,
        [tenant],
      );
      // Rows of a move that was undone, or from before the tenant left this database.
      for (const table of tables.toReversed()) await removeRows(to, tenant, table);
      for (const table of tables) await copyRows(from, to, tenant, table);
      await from.query('commit');
      from.release();
    } catch (error) {
      from.release(true);
      throw error;
    }
  });
}

/** The row of the tenant exists, because the target is closed for it. */
async function copyTenant(from: pg.ClientBase, to: pg.ClientBase, tenant: string): Promise<void> {
  const { rows } = await from.query<{ row: string }>(
    'select t::text as row from posthorn.tenants t where id = $1',
    [tenant],
  );
  await to.query(
    `update posthorn.tenants t
     set (name, metadata, retention_ms, strict_event_types, validate_event_types, portal, created_at, updated_at)
       = (select n.name, n.metadata, n.retention_ms, n.strict_event_types, n.validate_event_types, n.portal,
            n.created_at, n.updated_at
          from unnest(array[$2::posthorn.tenants]) n)
     where id = $1`,
    [tenant, rows[0]?.row],
  );
}

const conditionOf = ({ of }: Table, tenant: string): string =>
  of?.(pg.escapeLiteral(tenant)) ?? `t.tenant = ${pg.escapeLiteral(tenant)}`;

async function removeRows(to: pg.ClientBase, tenant: string, table: Table): Promise<void> {
  await to.query(`delete from posthorn.${table.name} t where ${conditionOf(table, tenant)}`);
}

/** Copies the rows of a tenant, part by part: memory holds one. */
export async function copyRows(
  from: pg.ClientBase,
  to: pg.ClientBase,
  tenant: string,
  table: Table,
): Promise<void> {
  const { name, changes } = table;
  // By a cursor, since not every table has a key that says where to go on.
  await from.query(
    `declare moved_rows no scroll cursor for
     select t::text as row from posthorn.${name} t where ${conditionOf(table, tenant)}`,
  );
  for (;;) {
    const { rows } = await from.query<{ row: string }>(`fetch ${PART} from moved_rows`);
    if (rows.length === 0) break;
    await insertRows(to, `posthorn.${name}`, textArray(rows.map(({ row }) => row)), changes);
  }
  await from.query('close moved_rows');
}
