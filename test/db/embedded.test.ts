import { spawnSync } from 'node:child_process';
import { chmod, lstat, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { prepareOwner } from '../../src/db/embedded-owner.ts';
import { findSocketDir } from '../../src/db/embedded-socket.ts';
import { startCli } from '../helpers/cli.ts';

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

t.test('a data folder that is not for Posthorn is refused, and left as it is', async (t) => {
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
    ['full', /^The data folder .* holds other things \(\S+\)/],
    ['link', /^The data folder .*full holds other things/],
    ['dangling', /^The data folder .*dangling is a link to a folder that is not there/],
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
    const embedded = await startEmbeddedPostgres(dataDir, CLEAR);
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
    const embedded = await startEmbeddedPostgres(dataDir, CLEAR);
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
    await t.rejects(prepareOwner(dataDir), /is root's, and Postgres cannot run as root/);
  },
);

t.test("a socket folder that may be somebody else's is not used", async (t) => {
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
