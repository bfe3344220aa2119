import type pg from 'pg';
import type { Session } from '../db/session.ts';
import { inTransaction } from '../db/transaction.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';

/** Days become quiet and are woken with a notification, which may be lost; and the views of recent attempts grow by a day. */
const EVERY_MS = 10 * 60_000;
/** While many days become quiet, as after an upgrade, the views are written this often. */
const APART_MS = 2_000;
/** Readers of the views wait as long as this one waits for others that read them. */
const LOCK_TIMEOUT = '200ms';
/** Pulls and reports have views of their own. Those of pulls are written first, so that no long report delays them. */
const READERS = ['pull', 'reports'];
/** Notified when a day has become quiet, or was woken. */
const CHANNEL = 'posthorn_history';

/**
 * Keeps the views of live history (schema/functions/write_live_views.sql), by which pulls and SQL reports leave out quiet
 * days. If a long report reads one of them, it is written later.
 *
 * @param session must not be started yet.
 */
export function createLiveViews(
  pool: pg.Pool,
  session: Pick<Session, 'listen'>,
  loop: Loop,
): Periodic {
  let again = false;
  let timer: NodeJS.Timeout | undefined;
  let notBefore = 0;
  const periodic = createPeriodic({
    everyMs: EVERY_MS,
    loop,
    async run(goesOn) {
      do {
        again = false;
        for (const reader of READERS)
          await inTransaction(pool, async (client) => {
            await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`);
            await client.query('select posthorn.write_live_views($1)', [reader]);
          });
      } while (again && goesOn());
    },
  });
  function runForNews(): void {
    timer = undefined;
    notBefore = performance.now() + APART_MS;
    // A run that is under way may not have seen it.
    again = true;
    void periodic.runOnce();
  }
  session.listen(CHANNEL, () => {
    timer ??= setTimeout(runForNews, Math.max(0, notBefore - performance.now())).unref();
  });
  return {
    ...periodic,
    stop() {
      clearTimeout(timer);
      return periodic.stop();
    },
  };
}
