import type { Socket } from 'node:net';
import type pg from 'pg';
import { errorMessage } from '../lib/errors.ts';

/** The pause after a statement without an answer until the database is tried again. */
const RETRY_MS = 500;
/** A timeout while waiting for a connection in use is not among these: the database may be well. */
const TIMED_OUT = /^(Query read timeout|Connection terminated due to connection timeout)/;

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

  function noteTimeout(error: unknown): boolean {
    if (!TIMED_OUT.test(errorMessage(error))) return false;
    answering = false;
    probeAt = performance.now() + RETRY_MS;
    return true;
  }

  pool.on('connect', (client) => {
    const destroy = () => {
      const { connection } = client as unknown as { connection: { stream: Socket } };
      connection.stream.destroy(new Error('Connection terminated: a statement had no answer'));
    };
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    client.query = ((...args: unknown[]) => {
      const callback = args.at(-1);
      if (typeof callback === 'function') {
        args[args.length - 1] = (error: unknown, result: unknown) => {
          if (error) noteTimeout(error);
          callback(error, result);
        };
        return query(...args);
      }
      const result = query(...args);
      if (result instanceof Promise) {
        result.catch((error: unknown) => {
          if (noteTimeout(error)) destroy();
        });
      }
      return result;
    }) as typeof client.query;
  });

  type Callback = (error: unknown, client?: pg.PoolClient, release?: unknown) => void;
  const connect = pool.connect.bind(pool) as (callback: Callback) => void;

  function connectUnlessSilent(callback: Callback): void {
    if (answering) {
      connect((error, client, release) => {
        if (error) noteTimeout(error);
        callback(error, client, release);
      });
    } else if (probing || performance.now() < probeAt) {
      setImmediate(callback, new Error('Connection terminated: the database does not answer'));
    } else {
      probe(callback);
    }
  }

  function probe(callback: Callback): void {
    probing = true;
    connect((error, client, release) => {
      if (error || client === undefined) {
        probing = false;
        noteTimeout(error);
        callback(error);
        return;
      }
      client.query('select 1', (failure: Error | null) => {
        probing = false;
        if (failure) {
          client.release(failure);
          callback(failure);
        } else {
          answering = true;
          callback(undefined, client, release);
        }
      });
    });
  }

  pool.connect = ((callback?: Callback) => {
    if (callback !== undefined) return connectUnlessSilent(callback);
    return new Promise<pg.PoolClient>((resolve, reject) => {
      connectUnlessSilent((error, client) => {
        if (error) reject(error);
        else resolve(client as pg.PoolClient);
      });
    });
  }) as typeof pool.connect;
}
