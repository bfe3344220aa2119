import cluster from 'node:cluster';
import { destination, type Logger, pino } from 'pino';
import type { Settings } from '../config/settings.ts';

/**
 * Names under which a secret could reach a log line. No code logs them today; this guards against
 * code that will.
 */
const REDACTED = [
  'secret',
  'password',
  'authorization',
  'signature',
  'body',
  'payload',
  'connectionString',
];

/** Creates the log: JSON lines, or readable text on a terminal. Both go to stderr. */
export async function createLog({ logLevel }: Pick<Settings, 'logLevel'>): Promise<Logger> {
  const options = {
    level: logLevel,
    // The process id matters only where there are several processes.
    base: cluster.isWorker ? { process: process.pid } : null,
    redact: { paths: REDACTED.flatMap((name) => [name, `*.${name}`]), censor: '[redacted]' },
    serializers: { err: describeError },
  };
  if (process.stderr.isTTY) {
    // Loaded only here: it takes a megabyte.
    const { default: pretty } = await import('pino-pretty');
    // In this thread and at once: a line about stopping must not be lost by the exit that follows it.
    return pino(
      options,
      pretty({ destination: 2, sync: true, translateTime: 'SYS:HH:MM:ss', singleLine: true }),
    );
  }
  return pino(options, destination({ dest: 2, sync: false }));
}

/** Leaves out the rows, parameters and details that Postgres attaches to errors: they may hold payloads. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack, cause } = error;
  const code = (error as { code?: unknown }).code;
  return {
    type: name,
    message,
    code,
    stack,
    ...(cause === undefined ? {} : { cause: describeError(cause) }),
  };
}
