// Whatever happens to the processes of a supervisor, it goes on and replaces them.
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { childrenOf, freePort } from '../chaos/lib/processes.ts';
import { type Cli, startCli } from '../helpers/cli.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { until } from '../helpers/until.ts';

const ROUNDS = Number(process.env.POSTHORN_FAULT_ROUNDS ?? 2);
/** Longer than the processes let pass between two messages to the supervisor. */
const FROZEN_MS = 6_000;
const BACK_MS = 60_000;

interface Running {
  readonly cli: Cli;
  readonly url: string;
  readonly pid: number;
  /** Waits until all processes run, none of which is one of these, and the API is ready. */
  whole(gone?: readonly number[]): Promise<number[]>;
}

async function start(t: Test, processes: number): Promise<Running> {
  const port = await freePort();
  const cli = await startCli(t, ['start'], {
    DATABASE_URL: await createTestDatabase(t),
    POSTHORN_PROCESSES: String(processes),
    PORT: String(port),
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
  return { cli, url, pid, whole };
}

/** Whether the API answers, on a new connection, with a database and workers behind it. */
async function answers(url: string): Promise<boolean> {
  const response = await fetch(`${url}/readyz`, {
    headers: { connection: 'close' },
    signal: AbortSignal.timeout(2_000),
  });
  await response.arrayBuffer();
  return response.status === 200;
}

async function stopsCleanly(t: Test, { cli, pid }: Running): Promise<void> {
  const children = childrenOf(pid);
  cli.kill('SIGTERM');
  t.equal(await cli.exited, 0, cli.output.stderr.slice(-3_000));
  t.strictSame(children.filter(isAlive), [], 'no process is left behind');
  t.notMatch(cli.output.stderr, /^\s+at /m, 'no stack trace went past the log');
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended already.
  }
}

function pick<T>(from: readonly T[]): T {
  return from[Math.floor(Math.random() * from.length)] as T;
}

t.test('a process that dies while the supervisor is frozen is replaced', async (t) => {
  const running = await start(t, 3);
  // One that serves the API and one that delivers.
  for (const victim of (await running.whole()).slice(0, 2)) {
    running.cli.kill('SIGSTOP');
    await sleep(FROZEN_MS / 3);
    signal(victim, 'SIGKILL');
    await sleep((FROZEN_MS * 2) / 3);
    running.cli.kill('SIGCONT');
    await running.whole([victim]);
  }
  await stopsCleanly(t, running);
});

t.test('processes that are frozen and killed in any order are all replaced', async (t) => {
  const running = await start(t, 4);
  for (let round = 0; round < ROUNDS; round++) {
    const before = await running.whole();
    const story: string[] = [];
    for (let step = 0; step < 12; step++) {
      const children = childrenOf(running.pid);
      const [pid, name] = pick<[number, NodeJS.Signals]>([
        [running.pid, 'SIGSTOP'],
        [running.pid, 'SIGCONT'],
        [pick(children) ?? running.pid, 'SIGSTOP'],
        [pick(before), 'SIGKILL'],
        [pick(children) ?? running.pid, 'SIGCONT'],
      ]);
      story.push(`${name} ${pid === running.pid ? 'supervisor' : pid}`);
      signal(pid, name);
      await sleep(Math.random() * 500);
    }
    // All that were there at the beginning end; those that came since may be frozen.
    for (const pid of before) signal(pid, 'SIGKILL');
    for (const pid of [running.pid, ...childrenOf(running.pid)]) signal(pid, 'SIGCONT');
    t.comment(story.join(', '));
    await running.whole(before);
  }
  await stopsCleanly(t, running);
});

t.test('processes that are killed while they start are replaced, the first one too', async (t) => {
  const port = await freePort();
  const cli = await startCli(t, ['start'], {
    DATABASE_URL: await createTestDatabase(t),
    POSTHORN_PROCESSES: '3',
    PORT: String(port),
  });
  const pid = cli.child.pid as number;
  for (let times = 0; times < 3; times++) {
    const child = await until('a process starts', () => childrenOf(pid)[0]);
    signal(child, 'SIGKILL');
    await until('it has ended', () => !childrenOf(pid).includes(child));
  }
  const url = await cli.url();
  await until('the API answers', () => answers(url), BACK_MS);
  cli.kill('SIGTERM');
  t.equal(await cli.exited, 0, cli.output.stderr);
});

t.test('a process that cannot be started is tried again until it can', async (t) => {
  const running = await start(t, 3);
  const [victim] = (await running.whole()) as [number];
  // No room for the files of another process.
  const open = readdirSync(`/proc/${running.pid}/fd`).length;
  limitFiles(running.pid, open - 3);
  signal(victim, 'SIGKILL');
  const failures = () => running.cli.output.stderr.match(/a process could not be started/g) ?? [];
  await until('it has failed twice', () => failures().length >= 2);
  t.match(running.cli.output.stderr, /EMFILE/);
  t.equal(running.cli.child.exitCode, null);
  limitFiles(running.pid, 4_096);
  await running.whole([victim]);
  await stopsCleanly(t, running);
});

function limitFiles(pid: number, files: number): void {
  execFileSync('prlimit', ['--pid', String(pid), `--nofile=${files}:`]);
}

t.test('processes whose supervisor is killed end, and say so', async (t) => {
  const running = await start(t, 3);
  const children = await running.whole();
  const [frozen] = children as [number];
  signal(frozen, 'SIGSTOP');
  running.cli.kill('SIGKILL');
  signal(frozen, 'SIGCONT');
  await until('they have ended', () => !children.some(isAlive));
  await running.cli.exited;
  const said = running.cli.output.stderr.match(/the supervisor has ended/g) ?? [];
  t.equal(said.length, 3, running.cli.output.stderr);
  t.notMatch(running.cli.output.stderr, /^\s+at /m);
});
