import type { Socket } from 'node:net';
import type pg from 'pg';
import { errorMessage } from '../lib/errors.ts';

/** How long after a statement without an answer the database is asked again. */
const ASK_AGAIN_MS = 500;
/** A wait for a connection that others hold is not among these: it says nothing of the database. */
const TIMED_OUT = /^(Query read timeout|Connection terminated due to connection timeout)/;

/**
 * Makes a pool quick to say that the database does not answer. A server that is down refuses at
 * once, but where packets are dropped each caller would wait for a timeout, behind those before
 * him. So after the first timeout one caller at a time finds out whether there are answers again,
 * and all others are refused at once.
 *
 * The connection of a statement that timed out is ended. node-postgres keeps it, waiting for the
 * answer, and whatever is asked next on it would wait behind. `pool.query` ends it by itself;
 * whoever took the connection out of the pool (graphile-worker) hands it back as if it were sound.
 */
export function refuseWithoutAnswers(pool: pg.Pool): void {
  let answers = true;
  let asking = false;
  let askAt = 0;

  function judge(error: unknown): boolean {
    if (!TIMED_OUT.test(errorMessage(error))) return false;
    answers = false;
    askAt = performance.now() + ASK_AGAIN_MS;
    return true;
  }

  pool.on('connect', (client) => {
    const end = () => {
      const { connection } = client as unknown as { connection: { stream: Socket } };
      connection.stream.destroy(new Error('Connection terminated: a statement had no answer'));
    };
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    client.query = ((...args: unknown[]) => {
      const callback = args.at(-1);
      if (typeof callback === 'function') {
        args[args.length - 1] = (error: unknown, result: unknown) => {
          if (error) judge(error);
          callback(error, result);
        };
        return query(...args);
      }
      const answer = query(...args);
      if (answer instanceof Promise) {
        answer.catch((error: unknown) => {
          if (judge(error)) end();
        });
      }
      return answer;
    }) as typeof client.query;
  });

  type Callback = (error: unknown, client?: pg.PoolClient, release?: unknown) => void;
  const connect = pool.connect.bind(pool) as (callback: Callback) => void;

  function connectUnlessSilent(callback: Callback): void {
    if (answers) {
      connect((error, client, release) => {
        if (error) judge(error);
        callback(error, client, release);
      });
    } else if (asking || performance.now() < askAt) {
      setImmediate(callback, new Error('Connection terminated: the database does not answer'));
    } else {
      ask(callback);
    }
  }

  function ask(callback: Callback): void {
    asking = true;
    connect((error, client, release) => {
      if (error || client === undefined) {
        asking = false;
        judge(error);
        callback(error);
        return;
      }
      client.query('select 1', (refusal: Error | null) => {
        asking = false;
        if (refusal) {
          client.release(refusal);
          callback(refusal);
        } else {
          answers = true;
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
