import type pg from 'pg';
import { tenantSubscription } from '../../../src/api/tenant-subscription.ts';
import type { Session } from '../../../src/db/session.ts';
import { createEventTypeCache } from '../../../src/event-types/cache.ts';
import {
  type FailureReport,
  reportAnswers,
  reportFailures,
  reportSuccesses,
} from '../../../src/health/circuits.sql.ts';
import { receiverCounts } from '../../../src/health/health.sql.ts';
import { createKeyring } from '../../../src/keys/keyring.ts';
import { createLoopHealth } from '../../../src/lib/loop-health.ts';
import { createSealer } from '../../../src/lib/sealing.ts';
import { countQueue, MAX_COUNTED } from '../../../src/metrics/queue-counts.sql.ts';
import { createPortalLinks } from '../../../src/sessions/portal-links.ts';
import { createSessions } from '../../../src/sessions/sessions.ts';
import { createTokens } from '../../../src/sessions/tokens.ts';
import { createSubscriptionCache } from '../../../src/subscriptions/cache.ts';
import { createTenantCache } from '../../../src/tenants/cache.ts';
import { collectLog } from '../../helpers/log.ts';
import { anyLoop } from '../../helpers/loops.ts';
import { found, type Hot } from './samples.ts';

/** A session without news. */
const session = { connected: true, listen() {}, onLost() {} } as unknown as Session;
const IDS = Array.from({ length: 20 }, (_, n) => 300 + n);

const failureOf = (subscriptionId: number): FailureReport => ({
  subscriptionId,
  failures: 20,
  sinceMs: 10_000,
  down: 20,
  downMs: 10_000,
  open: true,
  pauseMs: null,
  probe: false,
  gone: false,
  errorCode: 'http_status',
  error: 'a test',
});

/** Statements that load what is cached, and that tell of receivers. */
export function ofResources(): Hot[] {
  const load = (what: string, run: (pool: pg.Pool) => Promise<unknown>): Hot => ({
    what: `load ${what}`,
    pool: 'general',
    rows: 20,
    run,
  });
  return [
    load('subscriptions', async (pool) => {
      const cache = createSubscriptionCache(pool, session, createSealer([]), anyLoop);
      const loaded = await Promise.all(IDS.map((id) => cache.get(id)));
      found(loaded, loaded.filter((one) => one !== null).length, 20);
    }),
    load('a tenant', async (pool) => {
      const tenant = await createTenantCache(pool, session, anyLoop).get('tenant-1');
      found(tenant, tenant === null ? 0 : 1, 1);
    }),
    load('the event types of a tenant', (pool) =>
      createEventTypeCache(pool, session, anyLoop).get('tenant-1'),
    ),
    load('a key', async (pool) =>
      createKeyring(
        pool,
        session,
        createLoopHealth({ log: collectLog().log, isOutage: () => false }),
      ).find(Buffer.alloc(32)),
    ),
    load('a session', (pool) => createSessions(pool, undefined).find(`k_${'x'.repeat(43)}`)),
    load('who may embed a portal', (pool) =>
      createPortalLinks(pool, createTokens(undefined)).origins({
        link: '01890a5d-ac96-774b-bcce-b302099a8057',
      }),
    ),
    load('the counts of receivers that are not well', receiverCounts),
    // It counts so many on purpose, once a scrape.
    { ...load('the counts of what waits', countQueue), rows: MAX_COUNTED },
    load('the tenant of a subscription', (pool) => tenantSubscription(pool, 'default', 300)),
    {
      what: 'report failures, answers and successes',
      pool: 'general',
      rows: 60,
      async run(pool) {
        const { opened } = await reportFailures(pool, IDS.map(failureOf), {
          openFailures: 10,
          openOverMs: 5_000,
          firstProbeMs: 1_000,
          maxProbeMs: 10_000,
          disableAfterMs: null,
        });
        found(opened, opened.length, 20);
        await reportAnswers(pool, IDS);
        const closed = await reportSuccesses(pool, IDS);
        found(closed, closed.length, 0);
      },
    },
  ];
}
