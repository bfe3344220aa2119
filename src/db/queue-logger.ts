import { Logger } from 'graphile-worker';
import type { Logger as Pino } from 'pino';
import { errorMessage } from '../lib/errors.ts';
import { throttle } from '../lib/throttle.ts';
import { isUnavailable } from './availability.ts';

/** Drops all messages of graphile-worker. */
export const silentQueueLogger = new Logger(() => () => {});

/** Messages with the same first characters, apart from numbers, are reported together. */
const SAME_START = 20;
const REPORT_EVERY_MS = 5_000;
const RETURNING_JOBS =
  /^Error occurred whilst returning jobs from local queue to database queue: (.+)$/s;

/**
 * Writes graphile-worker's messages to Posthorn's log. Thousands of jobs finish each second, so its `info`
 * becomes `debug`. Messages contain no payloads. Errors of many jobs at once, as when the database goes
 * away, become one line; a stack trace is written only for errors with other causes.
 */
export function queueLogger(log: Pino): Logger {
  const levels = { error: 'error', warning: 'warn', info: 'debug', debug: 'trace' } as const;
  const reports = new Map<string, (latest: { message: string; error: unknown }) => void>();

  function report(level: 'error' | 'warn', message: string, error: unknown): void {
    // While the database is away all jobs fail for this one reason.
    const subject = isAway(error) ? 'unavailable' : withoutNumbers(message);
    let reportRarely = reports.get(subject);
    if (reportRarely === undefined) {
      reportRarely = throttle(REPORT_EVERY_MS, (latest, times) => {
        const [firstLine] = latest.message.split('\n');
        const cause =
          latest.error === undefined
            ? {}
            : isAway(latest.error)
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
    // This advice is for jobs that each run queries; here jobs share queries (src/queue/runner.ts).
    const target = /^(WARNING: having maxPoolSize|Your job batch size)/.test(message)
      ? 'trace'
      : usual;
    if (!log.isLevelEnabled(target)) return;
    const { error = meta?.fatalError } = (meta ?? {}) as { error?: unknown };
    if (target === 'error' || target === 'warn') report(target, message, error);
    else log[target](error === undefined ? {} : { err: error }, `queue: ${message}`);
  });
}

/** Returns true if an error says that the database is away; graphile-worker wraps it when it ends its queue. */
function isAway(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(isAway);
  const [, returning] = RETURNING_JOBS.exec(errorMessage(error)) ?? [];
  return isUnavailable(returning === undefined ? error : new Error(returning));
}

function withoutNumbers(message: string): string {
  return message
    .slice(0, 3 * SAME_START)
    .replaceAll(/\d+/g, '#')
    .slice(0, SAME_START);
}
