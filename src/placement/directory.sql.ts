// The statements on the directory: which homes there are, and which tenant lives in which. Each takes a connection to
// the database that has the directory.
import type pg from 'pg';

/** A Posthorn that tenants may live in. */
export interface Home {
  readonly name: string;
  /** The origin of its API, without a slash at its end. */
  readonly apiUrl: string;
  /** The first id that its database gives to a subscription or a key. */
  readonly firstId: number;
}

/** Where a tenant lives. */
export interface Placement {
  readonly home: string;
  /** How often it has moved, counted from 1. */
  readonly epoch: number;
  /** True: requests that may change something of it wait. */
  readonly moving: boolean;
}

type Db = pg.Pool | pg.ClientBase;

/** Lists the homes, by the first of their ids. */
export async function readHomes(db: Db): Promise<Home[]> {
  const { rows } = await db.query<Home>(
    `select name, api_url as "apiUrl", first_id as "firstId" from posthorn.homes order by first_id`,
  );
  return rows;
}

/** Returns where a tenant lives, or null if the directory does not say. */
export async function readPlacement(db: Db, tenant: string): Promise<Placement | null> {
  return (await readPlacements(db, [tenant])).get(tenant) ?? null;
}

/** Returns where these tenants live; those of which the directory says nothing are left out. */
export async function readPlacements(
  db: Db,
  tenants: readonly string[],
): Promise<Map<string, Placement>> {
  const { rows } = await db.query<Placement & { tenant: string }>(
    'select tenant, home, epoch, moving from posthorn.placements where tenant = any ($1)',
    [tenants],
  );
  return new Map(rows.map(({ tenant, ...placement }) => [tenant, placement]));
}

/** Places a tenant that has no home yet. Returns its home, which may be another one that was quicker. */
export async function placeTenant(db: Db, tenant: string, home: string): Promise<string> {
  await db.query(
    'insert into posthorn.placements (tenant, home) values ($1, $2) on conflict do nothing',
    [tenant, home],
  );
  return (await readPlacement(db, tenant))?.home ?? home;
}

/** Notes whose a key is, so that every home can pass on requests with it. */
export async function placeKey(db: Db, hash: Buffer, tenant: string): Promise<void> {
  await db.query(
    'insert into posthorn.placed_keys (hash, tenant) values ($1, $2) on conflict do nothing',
    [hash, tenant],
  );
}

/** Returns the tenants of keys, by their SHA-256 in hex; keys that no home has are left out. */
export async function tenantsOfKeys(
  db: Db,
  hashes: readonly string[],
): Promise<Map<string, string>> {
  const { rows } = await db.query<{ hash: string; tenant: string }>(
    `select encode(hash, 'hex') as hash, tenant from posthorn.placed_keys
     where hash in (select decode(h, 'hex') from unnest($1::text[]) as h)`,
    [hashes],
  );
  return new Map(rows.map(({ hash, tenant }) => [hash, tenant]));
}

/** Returns the tenants of those of these subscriptions that have moved, by the id as text. */
export async function tenantsOfMovedSubscriptions(
  db: Db,
  ids: readonly number[],
): Promise<Map<string, string>> {
  const { rows } = await db.query<{ id: number; tenant: string }>(
    'select id, tenant from posthorn.placed_subscriptions where id = any ($1)',
    [ids],
  );
  return new Map(rows.map(({ id, tenant }) => [String(id), tenant]));
}

/** Lets requests that may change something of a tenant wait, or go on. */
export async function setMoving(db: Db, tenant: string, moving: boolean): Promise<void> {
  await db.query('update posthorn.placements set moving = $2 where tenant = $1', [tenant, moving]);
}

/** The options of `switchHome`. */
export interface Switch {
  readonly tenant: string;
  /** The home that it leaves, and the epoch that was read with it. */
  readonly from: string;
  readonly epoch: number;
  readonly to: string;
  /** All its subscriptions, so that requests to `/ingest` find them. */
  readonly subscriptionIds: readonly number[];
}

/**
 * Gives a tenant another home, in one statement. Requests go there from then on; those that may change something wait
 * until `setMoving` ends that.
 *
 * @returns the new epoch.
 * @throws Error when the tenant does not live at `from` any more, or has another epoch. Nothing was changed.
 */
export async function switchHome(db: Db, move: Switch): Promise<number> {
  const { tenant, from, epoch, to, subscriptionIds } = move;
  const { rows } = await db.query<{ epoch: number }>(
    `with switched as (
       update posthorn.placements set home = $4, epoch = epoch + 1
       where tenant = $1 and home = $2 and epoch = $3
       returning tenant, epoch
     ), placed as (
       insert into posthorn.placed_subscriptions (id, tenant)
       select s.id, w.tenant from switched w, unnest($5::integer[]) as s (id)
       on conflict (id) do update set tenant = excluded.tenant
     )
     select epoch from switched`,
    [tenant, from, epoch, to, subscriptionIds],
  );
  const [row] = rows;
  if (row === undefined)
    throw new Error(`The tenant ${tenant} does not live at ${from} with epoch ${epoch} any more.`);
  return row.epoch;
}
