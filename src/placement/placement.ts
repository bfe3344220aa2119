import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { PlacementSettings } from '../config/placement.ts';
import { createPool } from '../db/pool.ts';
import { createSession, type Session } from '../db/session.ts';
import { errorMessage, OperatorError } from '../lib/errors.ts';
import { throttle } from '../lib/throttle.ts';
import {
  type Home,
  type Placement as PlacementRow,
  placeKey,
  placeTenant,
  readHomes,
  readPlacements,
  tenantsOfKeys,
  tenantsOfMovedSubscriptions,
} from './directory.sql.ts';
import { createRemembered } from './remembered.ts';

/** Where tenants, keys and subscriptions are, as the directory says. Each function throws while it is away and does not know. */
export interface Placement {
  /** The name of this home. */
  readonly home: string;
  /** Returns where a tenant lives, or null if no home has it. */
  ofTenant(tenant: string): Promise<PlacementRow | null>;
  /** Returns the tenant of a key, by its SHA-256, or null if no home has it. */
  tenantOfKey(hash: Buffer): Promise<string | null>;
  /** Returns the tenant of a subscription that has moved, or else the home whose ids include its id. */
  ofSubscription(id: number): Promise<{ readonly tenant: string } | { readonly home: string }>;
  /** Returns the home of that name, or null. */
  named(home: string): Promise<Home | null>;
  /** Makes the next `ofTenant` ask the directory. */
  expire(tenant: string): void;
  /** Places a new tenant here, unless it has a home. Returns its home. */
  place(tenant: string): Promise<string>;
  /** Notes the tenant of a new key. */
  placeKey(hash: Buffer, tenant: string): Promise<void>;
  /** Begins to listen for changes, and goes on trying while the directory is away. @throws OperatorError if it has no such home. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

const CONNECTIONS = 2;
const TIMEOUT_MS = 2_500;
const REPORT_EVERY_MS = 60_000;
const TRY_AGAIN_MS = 1_000;
/** The name under which all homes are remembered together. */
const ALL = '';

/** Reads the directory, and remembers what it says. */
export function createPlacement({ directoryUrl, home }: PlacementSettings, log: Logger): Placement {
  const onAway = throttle<unknown>(REPORT_EVERY_MS, (error, times) =>
    log.warn(
      { reason: errorMessage(error), times },
      'the directory cannot be read; known tenants are served as it said last',
    ),
  );
  const pool = createPool({
    connectionString: directoryUrl,
    purpose: 'directory',
    max: CONNECTIONS,
    timeoutMs: TIMEOUT_MS,
  });
  const loop = {
    succeeded() {},
    failed(error: unknown) {
      onAway(error);
      return TRY_AGAIN_MS;
    },
  };
  const session: Session = createSession({
    databaseUrl: directoryUrl,
    purpose: 'directory session',
    loop,
    log,
  });
  const common = { session, onAway };
  const tenants = createRemembered<PlacementRow>({
    ...common,
    load: (names) => readPlacements(pool, names),
  });
  const keys = createRemembered<string>({
    ...common,
    load: (hashes) => tenantsOfKeys(pool, hashes),
  });
  const moved = createRemembered<string>({
    ...common,
    load: (ids) => tenantsOfMovedSubscriptions(pool, ids.map(Number)),
  });
  const homes = createRemembered<readonly Home[]>({
    ...common,
    load: async () => new Map([[ALL, await readHomes(pool)]]),
  });
  session.listen('posthorn_placements', (tenant) => {
    tenants.expire(tenant);
    moved.expireAll();
  });
  session.listen('posthorn_homes', () => homes.expire(ALL));
  session.onLost(() => {
    for (const remembered of [tenants, moved, homes]) remembered.expireAll();
  });
  let stopped = false;

  async function connect(): Promise<void> {
    while (!stopped) {
      try {
        return await session.start();
      } catch (error) {
        onAway(error);
        await sleep(TRY_AGAIN_MS, undefined, { ref: false });
      }
    }
  }

  const allHomes = async () => (await homes.get(ALL)) ?? [];

  return {
    home,
    ofTenant: (tenant) => tenants.get(tenant),
    tenantOfKey: (hash) => keys.get(hash.toString('hex')),
    async ofSubscription(id) {
      const tenant = await moved.get(String(id));
      if (tenant !== null) return { tenant };
      const at = (await allHomes()).findLast(({ firstId }) => firstId <= id);
      return { home: at?.name ?? home };
    },
    named: async (name) => (await allHomes()).find((one) => one.name === name) ?? null,
    expire: (tenant) => tenants.expire(tenant),
    async place(tenant) {
      const placed = await placeTenant(pool, tenant, home);
      tenants.expire(tenant);
      return placed;
    },
    placeKey: (hash, tenant) => placeKey(pool, hash, tenant),
    async start() {
      const known = await allHomes().catch((error) => void onAway(error));
      if (known !== undefined && !known.some(({ name }) => name === home))
        throw new OperatorError(
          `POSTHORN_HOME is "${home}", and the directory has no such home${known.length > 0 ? `, only ${known.map(({ name }) => name).join(', ')}` : ''}. Run posthorn homes add --api-url <URL of this API> first.`,
        );
      void connect();
    },
    async stop() {
      stopped = true;
      await session.stop();
      await pool.end();
    },
  };
}
