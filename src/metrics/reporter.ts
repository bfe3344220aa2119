import type pg from 'pg';
import { LOCKS } from '../db/advisory-locks.ts';
import type { Session } from '../db/session.ts';

/** Processes are scraped every minute or more often. A process that is scraped no more leaves the report to others. */
const FORGOTTEN_MS = 150_000;

/**
 * Decides which process reports the figures of the database, so that the sum over all scraped processes is right:
 * the process that holds an advisory lock. It takes the lock when it is scraped, and Postgres releases it when the
 * process ends for any reason. Between scrapes this costs nothing.
 *
 * @param session must not be started yet. Without a session (a pooler shares them), the process never reports.
 * @returns a function that tells whether this process reports. It rejects when the database does not answer.
 */
export function createReporter(session: Session): () => Promise<boolean> {
  let client: pg.Client | undefined;
  let asked: Promise<boolean> | undefined;
  let timer: NodeJS.Timeout | undefined;
  session.onConnect(async (fresh) => {
    client = fresh;
    asked = undefined;
  });
  session.onLost(() => {
    client = undefined;
    asked = undefined;
  });

  async function lock(of: pg.Client): Promise<boolean> {
    const { rows } = await of.query<{ reports: boolean }>(
      `select pg_try_advisory_lock(${LOCKS.report}) as reports`,
    );
    return rows[0]?.reports === true;
  }

  function leave(): void {
    asked = undefined;
    // If the session breaks, Postgres releases the lock by itself.
    client?.query(`select pg_advisory_unlock(${LOCKS.report})`).catch(() => {});
  }

  return async () => {
    if (client === undefined) return false;
    // Scrapes at the same time share one question: a lock that is taken twice must be released twice.
    asked ??= lock(client);
    const mine = asked;
    try {
      if (await mine) {
        clearTimeout(timer);
        timer = setTimeout(leave, FORGOTTEN_MS);
        timer.unref();
        return true;
      }
    } catch (error) {
      if (asked === mine) asked = undefined;
      throw error;
    }
    if (asked === mine) asked = undefined;
    return false;
  };
}
