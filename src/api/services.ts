import type pg from 'pg';
import type { Logger } from 'pino';
import type { Settings } from '../config/settings.ts';
import type { Replica } from '../db/replica.ts';
import type { Database } from '../db/types.ts';
import type { EventTypeCache } from '../event-types/cache.ts';
import type { PublicCatalogue } from '../event-types/public-catalogue.ts';
import type { SchemaJudge } from '../event-types/schema-judge.ts';
import type { Intake } from '../intake/intake.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { Sealer } from '../lib/sealing.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Placement } from '../placement/placement.ts';
import type { PullPlaces } from '../pull/places.ts';
import type { Polls } from '../pull/polls.ts';
import type { TestSender } from '../sending/test-send.ts';
import type { PortalLinks } from '../sessions/portal-links.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { SubscriptionCache } from '../subscriptions/cache.ts';
import type { TenantCache } from '../tenants/cache.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { EventReader } from './stream/reader.ts';

/** The services that the routes use. */
export interface ApiServices {
  readonly settings: Settings;
  readonly pool: pg.Pool;
  /** Connections for lists of history, with planner settings of their own. */
  readonly listPool: pg.Pool;
  /** A copy of the database that reports are read from; undefined: there is none. */
  readonly replica: Replica | undefined;
  readonly db: Database;
  readonly intake: Intake;
  readonly subscriptions: SubscriptionCache;
  /** Seals secrets for the database. */
  readonly sealer: Sealer;
  readonly keyring: Keyring;
  readonly sessions: Sessions;
  readonly portalLinks: PortalLinks;
  readonly tenants: TenantCache;
  readonly eventTypes: EventTypeCache;
  readonly publicCatalogue: PublicCatalogue;
  readonly schemas: SchemaJudge;
  readonly testSender: TestSender;
  /** Lets requests wait for deliveries that they pull. */
  readonly polls: Polls;
  /** Limits how many pull at once. */
  readonly pullPlaces: PullPlaces;
  /** Reads what happens, for clients that follow it. */
  readonly events: EventReader;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Where tenants live that this Posthorn shares with others; undefined: all live here. */
  readonly placement?: Placement | undefined;
  /** Undefined: traces are not exported. */
  readonly tracing: Tracing | undefined;
  /** A process that is only a worker serves just the routes of routes/service.ts. */
  readonly serves: 'everything' | 'service';
  /** Why this process is not ready for work, or null. */
  readonly notReady: () => Promise<string | null>;
}

/** The same without `db`, for a process that is only a worker. Its routes do not need kysely, which is large to load. */
export type AppServices = Omit<ApiServices, 'db'>;
