import { spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { Test } from 'tap';
import { type Postgres, startPostgres } from '../chaos/lib/postgres.ts';
import { ownRun } from './own-postgres.ts';

/** Starts a server of its own, and a replica that follows it, until the test ends. */
export async function startWithReplica(
  t: Test,
): Promise<{ readonly primary: Postgres; readonly replica: Postgres }> {
  const run = ownRun(t);
  const { dir } = run;
  const settings = { fsync: 'off', shared_buffers: '32MB' };
  const primary = await startPostgres(run, { dir: join(dir, 'primary'), settings });
  await copy(primary, join(dir, 'replica'));
  const replica = await startPostgres(run, {
    dir: join(dir, 'replica'),
    existing: true,
    settings: {
      ...settings,
      primary_conninfo: `host=127.0.0.1 port=${primary.port} user=posthorn`,
    },
  });
  return { primary, replica };
}

/** Makes a base backup by hand (27.3.3 of Postgres's documentation), because the embedded one has no pg_basebackup. */
async function copy({ url, cluster, identity }: Postgres, dir: string): Promise<void> {
  const { uid, gid } = identity;
  const give = (path: string) => {
    if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
  };
  mkdirSync(dir);
  give(dir);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`select pg_backup_start('replica', true)`);
    const to = join(dir, 'postgres');
    const copied = spawnSync('cp', ['-a', cluster, to], { encoding: 'utf8' });
    if (copied.status !== 0) throw new Error(`cp: ${copied.stderr}`);
    const { rows } = await client.query<{ labelfile: string }>(
      'select labelfile from pg_backup_stop()',
    );
    rmSync(join(to, 'postmaster.pid'), { force: true });
    for (const [name, text] of [
      ['backup_label', rows[0]?.labelfile ?? ''],
      ['standby.signal', ''],
    ] as const) {
      writeFileSync(join(to, name), text);
      give(join(to, name));
    }
  } finally {
    await client.end();
  }
}
