import type pg from 'pg';
import { isTimeout, isUnavailable } from '../db/availability.ts';
import type { Patience } from '../db/patience.ts';
import type { Loop } from '../lib/loop-health.ts';
import type { LoopParts } from '../lib/loop-parts.ts';

export interface Watched {
  before(): Promise<void>;
  readonly patience: Patience;
  readonly loop: Loop;
  /** Told how each statement went, by its text. */
  readonly parts: LoopParts;
  /** Called when a statement broke off, so that nobody knows what it did. */
  onBroken(): void;
}

/**
 * Makes those who ask the pool for a connection wait while the database cannot be used: to
 * graphile-worker, a completion without a connection is the end.
 */
export function watchPool(
  pool: pg.Pool,
  { before, patience, loop, parts, onBroken }: Watched,
): void {
  const connect = pool.connect.bind(pool) as () => Promise<pg.PoolClient>;
  const connectPatiently = async () => {
    await before();
    return await patience(connect, loop);
  };
  const judge = (text: string, answer: Promise<unknown>) => {
    answer.then(
      () => parts.succeeded(text),
      (error: unknown) => {
        // What broke off may be of a pool that is gone, and is not asked again.
        if (isUnavailable(error) && !isTimeout(error)) loop.failed(error);
        else parts.failed(text, error);
        if (isUnavailable(error)) onBroken();
      },
    );
  };
  pool.connect = ((
    callback?: (error: unknown, client?: pg.PoolClient, release?: unknown) => void,
  ) => {
    const connected = connectPatiently();
    if (callback === undefined) return connected;
    connected.then(
      (client) => callback(undefined, client, client.release.bind(client)),
      (error: unknown) => callback(error),
    );
  }) as typeof pool.connect;
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    client.query = ((...args: unknown[]) => {
      const answer = query(...args);
      if (answer instanceof Promise) judge(textOf(args[0]), answer);
      return answer;
    }) as typeof client.query;
  });
}

function textOf(asked: unknown): string {
  return typeof asked === 'string' ? asked : ((asked as { text?: string }).text ?? '');
}
