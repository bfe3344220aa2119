import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { until } from '../../helpers/until.ts';
import { endLeftOvers, markProcesses } from './leftovers.ts';
import { startPosthorn } from './posthorn.ts';
import { childrenOf } from './processes.ts';

const SLEEP = 'setTimeout(() => {}, 600_000)';

/** A scenario's folder, and what it does at its end. */
function startRun(t: Test) {
  const dir = join(t.testdir(), 'scenario');
  mkdirSync(dir);
  const undos: (() => unknown)[] = [];
  const onEnd = (undo: () => unknown) => void undos.push(undo);
  markProcesses(dir);
  t.teardown(() => endLeftOvers(dir, 0));
  return { run: { quick: true, dir, onEnd, progress() {} }, undos };
}

t.test('a service ends with its scenario, whatever command it was started through', async (t) => {
  const { run, undos } = startRun(t);
  // Like faketime: the work is done by a child of the command, which does not end with it.
  const posthorn = startPosthorn(run, {
    databaseUrl: 'postgresql://posthorn@127.0.0.1:1/posthorn',
    through: ['sh', '-c', 'sleep 600; true'],
  });
  await until('it runs', () => childrenOf(posthorn.pid).length > 0);
  for (const undo of undos.reverse()) await undo();
  t.strictSame(await endLeftOvers(run.dir), []);
});

t.test('what a scenario leaves is named and ended, and nothing else is', async (t) => {
  const { run } = startRun(t);
  const start = (env: NodeJS.ProcessEnv, cwd = '/') => {
    const child = spawn(process.execPath, ['-e', SLEEP], {
      cwd,
      env,
      detached: true,
      stdio: 'ignore',
    });
    t.teardown(() => child.kill('SIGKILL'));
    return child;
  };
  const marked = start(process.env);
  const inFolder = start({}, run.dir);
  markProcesses(`${run.dir}-of-another`);
  const other = start(process.env);
  const left = await endLeftOvers(run.dir, 500);
  t.strictSame(
    left.map((line) => Number.parseInt(line, 10)).sort(),
    [marked.pid, inFolder.pid].sort(),
  );
  t.ok(left.every((line) => line.includes('setTimeout')));
  await until('they have ended', () => marked.signalCode !== null && inFolder.signalCode !== null);
  t.equal(other.exitCode ?? other.signalCode, null);
});
