import { setImmediate as nextTurn } from 'node:timers/promises';
import type pg from 'pg';
import { cutOff, isSilence, ping, watchStatements, wrapConnect } from './driver.ts';

/** The pause after a statement without an answer until the database is tried again. */
const RETRY_MS = 500;

/**
 * Makes a pool fail fast while the database does not answer. A server that is down refuses connections at
 * once, but if packets are dropped, every caller would wait for a timeout, one after another. So after the
 * first timeout one caller at a time tries whether the database answers again, and all others are refused
 * at once.
 *
 * The connection of a statement that timed out is closed. node-postgres would keep it waiting for the
 * answer, and the next statement on it would wait behind. `pool.query` closes it itself; a caller that took
 * the connection out of the pool (graphile-worker) would return it as if it were sound.
 */
export function refuseWithoutAnswers(pool: pg.Pool): void {
  let answering = true;
  let probing = false;
  let probeAt = 0;

  function noteSilence(error: unknown): boolean {
    if (!isSilence(error)) return false;
    answering = false;
    probeAt = performance.now() + RETRY_MS;
    return true;
  }

  watchStatements(pool, ({ client, error, byPool }) => {
    if (noteSilence(error) && !byPool) cutOff(client, 'a statement had no answer');
  });

  wrapConnect(pool, async (connect) => {
    const noting = async () => {
      try {
        return await connect();
      } catch (error) {
        noteSilence(error);
        throw error;
      }
    };
    if (answering) return await noting();
    if (!probing && performance.now() >= probeAt) return await probe(noting);
    await nextTurn();
    throw new Error('Connection terminated: the database does not answer');
  });

  async function probe(connect: () => Promise<pg.PoolClient>): Promise<pg.PoolClient> {
    probing = true;
    try {
      const client = await connect();
      try {
        await ping(client);
      } catch (error) {
        client.release(error as Error);
        throw error;
      }
      answering = true;
      return client;
    } finally {
      probing = false;
    }
  }
}
