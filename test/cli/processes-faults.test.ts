// Whatever happens to the processes of a supervisor, it goes on and replaces them.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { childrenOf, freePort } from '../chaos/lib/processes.ts';
import { startCli } from '../helpers/cli.ts';
import { createTestDatabase } from '../helpers/database.ts';
import {
  answers,
  BACK_MS,
  isAlive,
  signal,
  startSupervised,
  stopsCleanly,
} from '../helpers/supervised.ts';
import { until } from '../helpers/until.ts';

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

t.test('the supervisor tries to start a process until it succeeds', async (t) => {
  const running = await startSupervised(t, 3);
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

t.test('a process that loses its channel to the supervisor is replaced', async (t) => {
  const losesIt = join(t.testdir(), 'loses-it.mjs');
  writeFileSync(
    losesIt,
    `import cluster from 'node:cluster';
     import { writeFileSync } from 'node:fs';
     if (cluster.isWorker && process.env.POSTHORN_ROLE === 'worker') setTimeout(() => {
       // The first of them alone.
       try { writeFileSync(${JSON.stringify(losesIt)} + '.done', String(process.pid), { flag: 'wx' }); }
       catch { return; }
       cluster.worker.exitedAfterDisconnect = true;
       process.disconnect();
     }, 2000);`,
  );
  const running = await startSupervised(t, 3, { NODE_OPTIONS: `--import=${losesIt}` });
  const lost = await until('one has lost it', () =>
    Number(readFileSync(`${losesIt}.done`, 'utf8')),
  );
  await running.whole([lost]);
  await stopsCleanly(t, running);
});

t.test('processes whose supervisor is killed end, and say so', async (t) => {
  const running = await startSupervised(t, 3);
  const children = await running.whole();
  const stderr = () => running.cli.output.stderr;
  await until('all are up', () => stderr().match(/posthorn is up/g)?.length === 3);
  const [frozen] = children as [number];
  signal(frozen, 'SIGSTOP');
  running.cli.kill('SIGKILL');
  signal(frozen, 'SIGCONT');
  await until('they have ended', () => !children.some(isAlive));
  await running.cli.exited;
  t.equal(stderr().match(/the supervisor has ended/g)?.length, 3, stderr());
  t.notMatch(stderr(), /^\s+at /m);
});

t.test('a supervisor that is killed while its processes start leaves none behind', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  // From the moment at which a process is there until it is up.
  for (let afterMs = 0; afterMs <= 320; afterMs += 80) {
    const env = { DATABASE_URL: databaseUrl, POSTHORN_PROCESSES: '2' };
    const cli = await startCli(t, ['start'], env);
    const children = await until('a process starts', () => {
      const pids = childrenOf(cli.child.pid as number);
      return pids.length > 0 && pids;
    });
    await sleep(afterMs);
    cli.kill('SIGKILL');
    await cli.exited;
    await until('they have ended', () => !children.some(isAlive));
    t.notMatch(cli.output.stderr, /^\s+at /m, `${afterMs} ms`);
  }
});
