import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import t, { type Test } from 'tap';
import { lockFolder } from '../../../src/db/embedded/instance-lock.ts';
import { prepareOwner } from '../../../src/db/embedded/owner.ts';
import { startEmbeddedPostgres } from '../../../src/db/embedded/postgres.ts';
import { findSocketDir } from '../../../src/db/embedded/socket.ts';
import { startCli } from '../../helpers/cli.ts';
import { until } from '../../helpers/until.ts';

const root = process.getuid?.() === 0;
/** A user that every machine has. */
const SOMEBODY = Number(spawnSync('id', ['-u', 'nobody'], { encoding: 'utf8' }).stdout);
const CLEAR = { fsync: 'off', shared_buffers: '16MB' };

/** Open to the user that Postgres runs as, so that the data of the test stays in it. */
async function openFolder(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'posthorn-embedded-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  await chmod(dir, 0o755);
  return dir;
}

async function look(path: string) {
  const { uid, gid, mode } = await lstat(path);
  return { uid, gid, mode: mode & 0o7777 };
}

t.test('a data folder of another program is refused and not changed', async (t) => {
  const dir = await openFolder(t);
  const file = join(dir, 'file');
  await writeFile(file, 'precious', { mode: 0o644 });
  await mkdir(join(dir, 'full', 'postgres'), { recursive: true });
  await writeFile(join(dir, 'full', 'notes.txt'), 'precious');
  await symlink(join(dir, 'full'), join(dir, 'link'));
  await symlink(join(dir, 'gone'), join(dir, 'dangling'));
  for (const [name, says] of [
    ['file', /^The data folder .*file is not a folder\. Set POSTHORN_DATA_DIR/],
    ['file/below', /^The data folder .*below cannot be used: ENOTDIR.* Set POSTHORN_DATA_DIR/],
    ['full', /^The data folder .* contains other things \(\S+\)/],
    ['link', /^The data folder .*full contains other things/],
    ['dangling', /^The data folder .*dangling is a link to a folder that does not exist/],
  ] as const) {
    const before = await Promise.all([dir, file, join(dir, 'full')].map(look));
    await t.rejects(prepareOwner(join(dir, name)), { name: 'OperatorError', message: says }, name);
    t.strictSame(await Promise.all([dir, file, join(dir, 'full')].map(look)), before, name);
  }
  t.equal(await readFile(file, 'utf8'), 'precious');
});

t.test('an empty data folder is taken and keeps its owner and mode', async (t) => {
  const dataDir = join(await openFolder(t), 'data');
  await mkdir(dataDir);
  await chmod(dataDir, 0o755);
  const before = await look(dataDir);
  for (const start of ['first', 'second']) {
    const embedded = await startEmbeddedPostgres(dataDir, { serverSettings: CLEAR });
    t.teardown(() => embedded.stop());
    t.equal(embedded.dataDir, dataDir);
    await embedded.stop();
    t.strictSame(await look(dataDir), before, start);
  }
});

t.test(
  "as root, an ordinary user's data stays that user's",
  { skip: !root && 'needs root' },
  async (t) => {
    const dataDir = join(await openFolder(t), 'data');
    await mkdir(dataDir, { mode: 0o700 });
    spawnSync('chown', ['-h', String(SOMEBODY), dataDir]);
    const embedded = await startEmbeddedPostgres(dataDir, { serverSettings: CLEAR });
    t.teardown(() => embedded.stop());
    const pid = Number.parseInt(
      await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8'),
      10,
    );
    t.equal((await lstat(`/proc/${pid}`)).uid, SOMEBODY, 'it runs as that user');
    for (const name of ['.', 'postgres', 'postgres.log', 'postgres/PG_VERSION'])
      t.equal((await look(join(dataDir, name))).uid, SOMEBODY, name);
    await embedded.stop();
    t.match(await prepareOwner(dataDir), { identity: { uid: SOMEBODY } });

    spawnSync('chown', ['-R', '-h', '0', join(dataDir, 'postgres')]);
    await t.rejects(prepareOwner(dataDir), /belongs to root, and Postgres cannot run as root/);
  },
);

t.test('a socket folder that may belong to another user is not used', async (t) => {
  const dir = await openFolder(t);
  const owner = await prepareOwner(join(dir, 'data'));
  const cluster = join(owner.dataDir, 'postgres');
  const socketDir = await findSocketDir(owner, cluster);
  t.teardown(() => rm(socketDir, { recursive: true, force: true }));
  t.equal((await look(socketDir)).mode, 0o700);
  t.equal(await findSocketDir(owner, cluster), socketDir, 'its own is found again');

  const refused = { name: 'OperatorError', message: /^The socket folder .* Remove it, or set/ };
  await chmod(socketDir, 0o770);
  await t.rejects(findSocketDir(owner, cluster), refused, 'open to others');
  t.equal((await look(socketDir)).mode, 0o770, 'and not changed');
  await rm(socketDir, { recursive: true });
  await symlink(dir, socketDir);
  await t.rejects(findSocketDir(owner, cluster), refused, 'a link');
  if (root) {
    await rm(socketDir);
    await mkdir(socketDir, { mode: 0o700 });
    spawnSync('chown', [String(SOMEBODY), socketDir]);
    await t.rejects(findSocketDir(owner, cluster), refused, "another user's");
    t.equal((await look(socketDir)).uid, SOMEBODY, 'and not taken');
  }
});

t.test('a server that a killed Posthorn left is found under another TMPDIR', async (t) => {
  const dir = await openFolder(t);
  const env = { POSTHORN_DATA_DIR: join(dir, 'data') };
  const first = await startCli(t, ['start'], env, dir);
  await first.url();
  const pidFile = join(dir, 'data', 'postgres', 'postmaster.pid');
  const before = await readFile(pidFile, 'utf8');
  first.kill('SIGKILL');
  await first.exited;
  await mkdir(join(dir, 'tmp'), { mode: 0o777 });
  const second = await startCli(t, ['start'], { ...env, TMPDIR: join(dir, 'tmp') }, dir);
  await second.url();
  t.equal((await readFile(pidFile, 'utf8')).split('\n')[0], before.split('\n')[0]);
  second.kill('SIGTERM');
  t.equal(await second.exited, 0);
});

const IN_USE = /^posthorn: The data folder .* is in use by another Posthorn\. .*\n$/m;

t.test('of two concurrent first starts, one wins, the other says that it is in use', async (t) => {
  const dir = await openFolder(t);
  const env = { POSTHORN_DATA_DIR: join(dir, 'data') };
  const both = await Promise.all([
    startCli(t, ['start'], env, dir),
    startCli(t, ['start'], env, dir),
  ]);
  const loser = await Promise.race(both.map((cli) => cli.exited.then(() => cli)));
  t.equal(await loser.exited, 1);
  t.match(loser.output.stderr, IN_USE);
  const winner = both.find((cli) => cli !== loser) as (typeof both)[0];
  await winner.url();
  winner.kill('SIGTERM');
  t.equal(await winner.exited, 0, winner.output.stderr);
  t.strictSame((await readdir(dir)).sort(), ['data']);
  t.strictSame((await readdir(join(dir, 'data'))).sort(), ['postgres', 'postgres.log']);
});

t.test('a crash within Postgres does not open the folder to a second instance', async (t) => {
  const dir = await openFolder(t);
  const env = { POSTHORN_DATA_DIR: join(dir, 'data') };
  const first = await startCli(t, ['start'], env, dir);
  const url = await first.url();
  const lines = (await readFile(join(dir, 'data', 'postgres', 'postmaster.pid'), 'utf8')).split(
    '\n',
  );
  const client = new pg.Client({ host: lines[4], user: 'posthorn', database: 'posthorn' });
  client.on('error', () => {});
  await client.connect();
  const { rows } = await client.query('select pg_backend_pid() as pid');
  // All sessions end: Postgres starts anew within itself.
  process.kill(rows[0].pid, 'SIGKILL');
  for (let n = 0; n < 3; n++) {
    const second = await startCli(t, ['start'], env, dir);
    t.equal(await second.exited, 1);
    t.match(second.output.stderr, IN_USE);
  }
  await until('the first one has its database again', async () => {
    const response = await fetch(`${url}/readyz`);
    await response.text();
    return response.ok;
  });
  first.kill('SIGTERM');
  t.equal(await first.exited, 0);
});

t.test('a lock of a process that has ended is taken over', async (t) => {
  const dir = await openFolder(t);
  for (const stale of [`${process.pid} another birth\n`, '999999999 x\n', '']) {
    await writeFile(join(dir, 'posthorn.lock'), stale);
    const all = [1, 2, 3].map(() => lockFolder(dir));
    const locks = all.filter((release) => release !== undefined);
    t.equal(locks.length, 1, 'by one');
    locks[0]?.();
    t.strictSame(await readdir(dir), []);
  }
});

t.test("a terminal's Ctrl-C during the first start ends it cleanly", async (t) => {
  const dir = await openFolder(t);
  const main = join(import.meta.dirname, '..', '..', '..', 'src', 'main.ts');
  const child = spawn(process.execPath, [main, 'start'], {
    cwd: dir,
    env: { PATH: process.env.PATH, PORT: '0', POSTHORN_DATA_DIR: join(dir, 'data') },
    // A process group of its own, to which a terminal's signals go.
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk;
  });
  const closed = once(child, 'close');
  await until('initdb is at work', async () => {
    const names = await readdir(join(dir, 'data')).catch(() => []);
    const cluster = names.find((name) => name.startsWith('postgres.new'));
    return cluster !== undefined && existsSync(join(dir, 'data', cluster, 'PG_VERSION'));
  });
  process.kill(-(child.pid as number), 'SIGINT');
  t.strictSame(await closed, [0, null], stderr);
  t.notMatch(stderr, /could not/);
  t.strictSame(await readdir(join(dir, 'data')), [], 'no half-made cluster is left');
});
