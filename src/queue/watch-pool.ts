import type pg from 'pg';
import { isTimeout, isUnavailable } from '../db/availability.ts';
import type { Patience } from '../db/patience.ts';
import type { Loop } from '../lib/loop-health.ts';
import type { LoopParts } from '../lib/loop-parts.ts';

export interface Watched {
  before(): Promise<void>;
  readonly patience: Patience;
  readonly loop: Loop;
  /** Told how each statement goes, by its text. */
  readonly parts: LoopParts;
  /** Called when a statement broke off, so that its effect is unknown. */
  onBroken(): void;
}

/**
 * Makes callers wait for a connection while the database cannot be used: graphile-worker ends its pool
 * when a completion gets no connection.
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
        // A statement that broke off may belong to a pool that is gone, and is never asked again.
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
