import type { Test } from 'tap';
import { childrenOf, freePort } from '../chaos/lib/processes.ts';
import { type Cli, startCli } from './cli.ts';
import { createTestDatabase } from './database.ts';
import { until } from './until.ts';

export const BACK_MS = 180_000;

/** A supervisor and its processes. */
export interface Supervised {
  readonly cli: Cli;
  readonly url: string;
  readonly databaseUrl: string;
  readonly pid: number;
  /** Waits until all processes run, none of which is one of these, and the API is ready. */
  whole(gone?: readonly number[]): Promise<number[]>;
}

/** Runs a supervisor with so many processes on a database of its own. */
export async function startSupervised(
  t: Test,
  processes: number,
  env: Record<string, string> = {},
): Promise<Supervised> {
  const port = await freePort();
  const databaseUrl = env.DATABASE_URL ?? (await createTestDatabase(t));
  const cli = await startCli(t, ['start'], {
    DATABASE_URL: databaseUrl,
    POSTHORN_PROCESSES: String(processes),
    PORT: String(port),
    ...env,
  });
  const url = await cli.url();
  const pid = cli.child.pid as number;
  const whole = (gone: readonly number[] = []) =>
    until(
      'all processes run and the API answers',
      async () => {
        const children = childrenOf(pid);
        if (children.length !== processes || children.some((child) => gone.includes(child))) return;
        return (await answers(url)) && children;
      },
      BACK_MS,
    );
  return { cli, url, databaseUrl, pid, whole };
}

/** Returns true if the API answers on a new connection, and its database and workers work. */
export async function answers(url: string): Promise<boolean> {
  const response = await fetch(`${url}/readyz`, {
    headers: { connection: 'close' },
    signal: AbortSignal.timeout(20_000),
  });
  await response.arrayBuffer();
  return response.status === 200;
}

/** Stops it and sees that nothing is left, neither processes nor stack traces. */
export async function stopsCleanly(t: Test, { cli, pid }: Supervised): Promise<void> {
  const children = childrenOf(pid);
  cli.kill('SIGTERM');
  t.equal(await cli.exited, 0, cli.output.stderr.slice(-3_000));
  t.strictSame(children.filter(isAlive), [], 'no process is left behind');
  t.notMatch(cli.output.stderr, /^\s+at /m, 'no stack trace went past the log');
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Sends a signal to a process that may have ended. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended already.
  }
}
