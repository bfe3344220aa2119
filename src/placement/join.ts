import type pg from 'pg';
import { inTransaction } from '../db/transaction.ts';
import { OperatorError } from '../lib/errors.ts';
import type { SealingKey } from '../lib/sealing.ts';
import { DEFAULT_TENANT } from '../tenants/default.ts';
import { type Home, readHomes } from './directory.sql.ts';
import { closeTenant } from './fence.ts';

/** The ids of subscriptions and keys that a home may give: 2^31 are enough for 214 homes. */
const IDS = 10_000_000;
/** The ids of attempts that a home may give. The last home's fit into the numbers of JSON (2^53). */
const ATTEMPT_IDS = 10_000_000_000_000;
const MAX_HOMES = 214;
const CLOSE_TIMEOUT_MS = 30_000;

/** The options of `joinDirectory`. */
export interface JoinOptions {
  /** The database that joins, migrated. */
  readonly pool: pg.Pool;
  readonly directory: pg.Pool;
  readonly name: string;
  /** The origin of its API, as the other homes reach it. */
  readonly apiUrl: string;
  readonly encryptionKeys: readonly SealingKey[];
}

/**
 * Adds a home to the directory, with its tenants and keys, and gives its database a range of ids of its own. Called
 * again for a home that has joined, it changes the URL, and adds what is missing.
 *
 * The first home keeps its ids. A later one must not have given any, and its tenant `default` is closed, because
 * there is one for all homes.
 *
 * @throws OperatorError when the database cannot join: it has subscriptions or keys, a tenant that lives elsewhere, or
 *   another encryption key than the other homes.
 */
export async function joinDirectory(options: JoinOptions): Promise<Home> {
  const { pool, directory, name, apiUrl, encryptionKeys } = options;
  const encryption = encryptionKeys[0]?.id ?? null;
  return await inTransaction(directory, async (client) => {
    // Joining is rare, and two at once would take the same range.
    await client.query('lock table posthorn.homes in exclusive mode');
    const homes = await readHomes(client);
    await requireSameKey(client, name, encryption);
    const firstId = homes.find((home) => home.name === name)?.firstId ?? nextRange(homes);
    const isFirst = firstId === 1;
    if (!homes.some((home) => home.name === name) && !isFirst) await requireNoIds(pool);
    const home = { name, apiUrl, firstId };
    await client.query(
      `insert into posthorn.homes (name, api_url, first_id, encryption_key) values ($1, $2, $3, $4)
       on conflict (name) do update set api_url = excluded.api_url, encryption_key = excluded.encryption_key`,
      [name, apiUrl, firstId, encryption],
    );
    await placeTenants(client, pool, name);
    // Before the home is in the directory, so that it gives no id of another range from then on.
    await countFrom(pool, firstId);
    if (!isFirst) await closeTenant(pool, DEFAULT_TENANT, { timeoutMs: CLOSE_TIMEOUT_MS });
    await client.query(`notify posthorn_homes`);
    return home;
  });
}

function nextRange(homes: readonly Home[]): number {
  if (homes.length >= MAX_HOMES)
    throw new OperatorError(`The directory has ${MAX_HOMES} homes, and there are no ids for more.`);
  return homes.length === 0 ? 1 : Math.max(...homes.map(({ firstId }) => firstId)) + IDS;
}

/** @throws OperatorError unless all homes encrypt with the same key: a tenant that moves takes its sealed secrets along. */
async function requireSameKey(
  client: pg.ClientBase,
  name: string,
  encryption: string | null,
): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select name from posthorn.homes where name <> $1 and encryption_key is distinct from $2 limit 1`,
    [name, encryption],
  );
  const [other] = rows;
  if (other !== undefined)
    throw new OperatorError(
      `POSTHORN_ENCRYPTION_KEY is not that of the home ${other.name}. All homes need the same key first (or none), so that tenants can move.`,
    );
}

async function requireNoIds(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query<{ subscriptions: boolean; keys: boolean }>(
    `select exists (select from posthorn.subscriptions) as subscriptions, exists (select from posthorn.keys) as keys`,
  );
  if (rows[0]?.subscriptions || rows[0]?.keys)
    throw new OperatorError(
      'The database has subscriptions or keys, whose ids may be those of other homes. Only the first home may have some: begin the directory with it, and add databases that are new.',
    );
}

/** Adds the tenants and keys of a database to the directory. @throws OperatorError if one of them lives elsewhere. */
async function placeTenants(client: pg.ClientBase, pool: pg.Pool, home: string): Promise<void> {
  const { rows: tenants } = await pool.query<{ id: string }>(
    'select id from posthorn.tenants where closed_at is null',
  );
  const { rows: elsewhere } = await client.query<{ tenant: string; home: string }>(
    `with given as (select unnest($1::text[]) as tenant), placed as (
       insert into posthorn.placements (tenant, home) select tenant, $2 from given on conflict do nothing
     )
     select p.tenant, p.home from posthorn.placements p join given using (tenant)
     where p.home <> $2 and p.tenant <> $3`,
    [tenants.map(({ id }) => id), home, DEFAULT_TENANT],
  );
  const [other] = elsewhere;
  if (other !== undefined)
    throw new OperatorError(
      `The tenant ${other.tenant} is in this database, and lives at ${other.home}. A tenant has one home: delete one of them.`,
    );
  const { rows: keys } = await pool.query<{ hash: Buffer; tenant: string }>(
    'select hash, tenant from posthorn.keys where tenant is not null',
  );
  await client.query(
    `insert into posthorn.placed_keys (hash, tenant)
     select decode(hash, 'hex'), tenant from unnest($1::text[], $2::text[]) as k (hash, tenant)
     on conflict do nothing`,
    [keys.map(({ hash }) => hash.toString('hex')), keys.map(({ tenant }) => tenant)],
  );
}

/** Makes a database count in its range, up to its end, and never goes back. */
async function countFrom(pool: pg.Pool, firstId: number): Promise<void> {
  const nth = (firstId - 1) / IDS;
  await inTransaction(pool, async (client) => {
    for (const [sequence, first, number] of [
      ['subscriptions_id_seq', firstId, IDS],
      ['keys_id_seq', firstId, IDS],
      ['delivery_attempts_id_seq', nth * ATTEMPT_IDS + 1, ATTEMPT_IDS],
    ] as const) {
      const { rows } = await client.query<{ last: number }>(
        `select last_value::float8 as last from posthorn.${sequence}`,
      );
      if ((rows[0]?.last ?? 0) >= first + number)
        throw new OperatorError(
          `The database has counted past the ids of its range (posthorn.${sequence}).`,
        );
      const restart = (rows[0]?.last ?? 0) < first ? `restart with ${first}` : '';
      await client.query(
        `alter sequence posthorn.${sequence} maxvalue ${first + number - 1} ${restart}`,
      );
    }
  });
}
