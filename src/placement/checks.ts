// Why a tenant cannot be moved. Each error says what would have to change.
import type pg from 'pg';
import { migrationStatus } from '../db/migrate.ts';
import { findPooling } from '../db/pooling.ts';
import { OperatorError } from '../lib/errors.ts';
import type { SealingKey } from '../lib/sealing.ts';
import type { Sides } from './copy-history.ts';
import type { Home } from './directory.sql.ts';

/** The exit code of commands for what the service would refuse with 4xx. */
export const REFUSED = { exitCode: 4 } as const;

/** A database, and the setting that has its URL. */
export interface Side {
  readonly pool: pg.Pool;
  readonly url: string;
  readonly setting: string;
}

/**
 * Requires a database to have the schema of this version, and sessions.
 *
 * @throws OperatorError if it has another schema, or is behind a pooler that shares sessions.
 */
export async function requireCurrent({
  url,
  setting,
}: Pick<Side, 'url' | 'setting'>): Promise<void> {
  if ((await findPooling(url)) !== 'session')
    throw new OperatorError(
      `${setting} leads through a pooler that shares sessions, and a move needs sessions of its own. Give the URL of Postgres itself.`,
    );
  const { migrations, changed } = await migrationStatus(url);
  if (changed.length > 0 || migrations.some(({ appliedAt }) => appliedAt === null))
    throw new OperatorError(
      `The database of ${setting} does not have the schema of this version of Posthorn. Bring all homes and this command to the same version.`,
      REFUSED,
    );
}

/**
 * Requires a database to be that of a home, which the range of its subscriptions' ids says, and its user to own the
 * schema.
 *
 * @throws OperatorError if it is that of another home, or the user may not move tenants.
 */
export async function requireHome(side: Side, homes: readonly Home[], name: string): Promise<void> {
  await requireCurrent(side);
  const { rows } = await side.pool.query<{ id: number; user: string; owns: boolean }>(
    `select last_value::integer as id, session_user as user,
       has_table_privilege(session_user, c.oid, 'insert') and pg_has_role(session_user, c.relowner, 'usage') as owns
     from posthorn.subscriptions_id_seq, pg_catalog.pg_class c
     where c.oid = 'posthorn.webhook_payloads'::regclass`,
  );
  const [{ id, user, owns }] = rows as [(typeof rows)[number]];
  const owner = homes.findLast(({ firstId }) => firstId <= id);
  if (owner?.name !== name)
    throw new OperatorError(
      `The database of ${side.setting} is not that of ${name}: its ids are those of ${owner?.name ?? 'no home'}. Give the URL of the database of ${name}.`,
      REFUSED,
    );
  if (!owns)
    throw new OperatorError(
      `The user ${user} of ${side.setting} does not own the schema posthorn, which moving a tenant needs. Give the URL with its owner.`,
      REFUSED,
    );
}

/**
 * @param keys those of POSTHORN_ENCRYPTION_KEY.
 * @throws OperatorError if something of the tenant cannot be moved, or may not be moved now.
 */
export async function requireMovable(
  { source, target }: Sides,
  tenant: string,
  keys: readonly SealingKey[],
): Promise<void> {
  const { rows } = await source.query<Facts>(FACTS, [tenant]);
  const facts = rows[0];
  if (facts === undefined)
    throw new OperatorError(`There is no tenant ${tenant} in the database of its home.`, {
      exitCode: 3,
    });
  if (facts.watch !== null)
    throw refused(
      `the watch on ${facts.watch} sends webhooks of it, or of any tenant (tenant_column), in the transactions of that database. Remove it with posthorn.unwatch`,
    );
  if (facts.task !== null)
    throw refused(
      `the bulk operation ${facts.task} is under way. Wait until it has ended, or cancel it`,
    );
  if (facts.skipping !== null)
    throw refused(
      `the deliveries of the subscription ${facts.skipping} are being skipped, as it is enabled. Wait until that is done`,
    );
  const behindMs = (await clockOf(source)) - (await clockOf(target));
  if (behindMs > MAX_BEHIND_MS)
    throw refused(
      `the clock of the target is ${Math.round(behindMs / 1_000)} s behind that of the source, and its requests would have to wait for so long. Set it right`,
    );
  const ours = new Set(keys.map(({ id }) => id));
  const { rows: theirs } = await target.query<{ keys: string[] }>(`select ${KEY_IDS}) as keys`);
  const missing = [...facts.keys, ...(theirs[0]?.keys ?? [])].find((id) => !ours.has(id));
  if (missing !== undefined)
    throw refused(
      `secrets are encrypted with the key ${missing}, which POSTHORN_ENCRYPTION_KEY does not contain here. Both homes and this command need the same keys`,
    );

  function refused(why: string): OperatorError {
    return new OperatorError(`The tenant ${tenant} cannot be moved: ${why}.`, REFUSED);
  }
}

/** Ids are in the order of acceptance, so the target accepts nothing before its clock has passed the greatest id. */
const MAX_BEHIND_MS = 5_000;

async function clockOf(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ ms: number }>(
    'select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms',
  );
  return (rows[0] as { ms: number }).ms;
}

interface Facts {
  readonly watch: string | null;
  readonly task: string | null;
  readonly skipping: number | null;
  readonly keys: string[];
}

const KEY_IDS = `array(
  select distinct substr(stored, 11, 8) from posthorn.subscriptions s
  cross join lateral (
    select s.secret as stored
    union all select s.verify_secret
    union all select retired ->> 'secret' from jsonb_array_elements(s.retired_secrets) as retired
  ) as secrets
  where s.deleted_at is null and starts_with(stored, 'sealed:v1:')`;

const FACTS = `
  select
    (select rel::text from posthorn.watches where tenant = $1 or tenant_column is not null limit 1) as watch,
    (select id::text from posthorn.tasks where tenant = $1 and state in ('waiting', 'running') limit 1) as task,
    (select id from posthorn.subscriptions where tenant = $1 and skip_until is not null limit 1) as skipping,
    ${KEY_IDS} and s.tenant = $1) as keys
  from posthorn.tenants
  where id = $1 and deleted_at is null`;
