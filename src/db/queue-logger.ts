import { Logger } from 'graphile-worker';
import type { Logger as Pino } from 'pino';

/** For the moments when graphile-worker has nothing to say that a person needs. */
export const silentQueueLogger = new Logger(() => () => {});

/**
 * graphile-worker's log in ours. A finished job is not news at the scale of thousands a second, so
 * its `info` becomes our `debug`; messages carry no payloads.
 */
export function queueLogger(log: Pino): Logger {
  const levels = { error: 'error', warning: 'warn', info: 'debug', debug: 'trace' } as const;
  return new Logger(() => (level, message, meta) => {
    const usual = levels[level as keyof typeof levels] ?? 'debug';
    // Advice for jobs of one query each; ours share their queries (src/queue/runner.ts).
    const target = /^(WARNING: having maxPoolSize|Your job batch size)/.test(message)
      ? 'trace'
      : usual;
    if (!log.isLevelEnabled(target)) return;
    const error = (meta as { error?: unknown } | undefined)?.error;
    log[target](error === undefined ? {} : { err: error }, `queue: ${message}`);
  });
}
