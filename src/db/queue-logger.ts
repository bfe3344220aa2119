import { Logger } from 'graphile-worker';
import type { Logger as Pino } from 'pino';
import { errorMessage } from '../lib/errors.ts';
import { rarely } from '../lib/rarely.ts';
import { isUnavailable } from './availability.ts';

/** For the moments when graphile-worker has nothing to say that a person needs. */
export const silentQueueLogger = new Logger(() => () => {});

/** Messages that begin alike, numbers aside, say the same of other jobs. */
const SAME_START = 20;
const REPORT_EVERY_MS = 5_000;

/**
 * graphile-worker's log in ours. A finished job is not news at the scale of thousands a second, so
 * its `info` becomes our `debug`; messages carry no payloads. What goes wrong with hundreds of jobs
 * at once, as it does when the database goes away, is one line, and a stack trace only where it
 * tells something.
 */
export function queueLogger(log: Pino): Logger {
  const levels = { error: 'error', warning: 'warn', info: 'debug', debug: 'trace' } as const;
  const reports = new Map<string, (latest: { message: string; error: unknown }) => void>();

  function report(level: 'error' | 'warn', message: string, error: unknown): void {
    // While the database is away everything fails, and all of it for that reason.
    const subject = isUnavailable(error) ? 'unavailable' : withoutNumbers(message);
    let reportRarely = reports.get(subject);
    if (reportRarely === undefined) {
      reportRarely = rarely(REPORT_EVERY_MS, (latest, times) => {
        const [firstLine] = latest.message.split('\n');
        const cause =
          latest.error === undefined
            ? {}
            : isUnavailable(latest.error)
              ? { reason: errorMessage(latest.error) }
              : { err: latest.error };
        log[level]({ ...cause, ...(times > 1 ? { times } : {}) }, `queue: ${firstLine}`);
      });
      reports.set(subject, reportRarely);
    }
    reportRarely({ message, error });
  }

  return new Logger(() => (level, message, meta) => {
    const usual = levels[level as keyof typeof levels] ?? 'debug';
    // Advice for jobs of one query each; ours share their queries (src/queue/runner.ts).
    const target = /^(WARNING: having maxPoolSize|Your job batch size)/.test(message)
      ? 'trace'
      : usual;
    if (!log.isLevelEnabled(target)) return;
    const { error = meta?.fatalError } = (meta ?? {}) as { error?: unknown };
    if (target === 'error' || target === 'warn') report(target, message, error);
    else log[target](error === undefined ? {} : { err: error }, `queue: ${message}`);
  });
}

function withoutNumbers(message: string): string {
  return message
    .slice(0, 3 * SAME_START)
    .replaceAll(/\d+/g, '#')
    .slice(0, SAME_START);
}
