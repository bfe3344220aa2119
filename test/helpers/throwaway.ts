import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { startEmbeddedPostgres } from '../../src/db/embedded/postgres.ts';
import { errorCode } from '../../src/lib/errors.ts';

/**
 * Memory that looks like a folder. A run copies and drops hundreds of databases of 600 files each:
 * on a disk's file system a copy takes ten times as long, and takes turns with the others.
 */
const MEMORY = '/dev/shm';
/** A container may have as little as 64 MiB of it; a run takes a tenth of this. */
const ROOM = 2 * 1024 ** 3;
const HOUR_MS = 3_600_000;
/** Faster settings without durability, because a test need not survive a power failure. */
const SETTINGS = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  min_wal_size: '32MB',
  max_wal_size: '128MB',
  // Five test files run at a time, and each may start four processes.
  max_connections: '500',
  // Postgres allows none by default, and an application may have them allowed.
  max_prepared_transactions: '10',
};

/** Starts a Postgres for a run of tests, in memory where there is enough. It outlives this process. */
export async function startThrowaway(): Promise<{ url: string; dataDir: string }> {
  await sweep();
  const place = roomIn(MEMORY) >= ROOM ? MEMORY : tmpdir();
  const dir = mkdtempSync(join(place, `posthorn-test-${process.ppid}-`));
  // As root, Postgres runs as somebody else, who has to get through.
  chmodSync(dir, 0o711);
  const dataDir = join(dir, 'data');
  const { url } = await startEmbeddedPostgres(dataDir, { serverSettings: SETTINGS });
  return { url, dataDir };
}

/** Ends what `startThrowaway` started, and leaves nothing of it. */
export async function endThrowaway(dataDir: string): Promise<void> {
  // Starting where a server runs takes it over; so it can be stopped.
  await (await startEmbeddedPostgres(dataDir)).stop();
  rmSync(await realpath(dataDir), { recursive: true, force: true });
  rmSync(dirname(dataDir), { recursive: true, force: true });
}

/** Ends what runs have left that were killed. */
async function sweep(): Promise<void> {
  for (const place of [MEMORY, tmpdir()]) {
    for (const name of existsSync(place) ? readdirSync(place) : []) {
      const [, tap] = /^posthorn-test-(\d+)-/.exec(name) ?? [];
      const dir = join(place, name);
      if (tap === undefined || isAlive(Number(tap)) || !isOldAndOurs(dir)) continue;
      await endThrowaway(join(dir, 'data')).catch(() => {});
    }
  }
}

function isOldAndOurs(dir: string): boolean {
  const { uid, mtimeMs } = statSync(dir);
  return uid === process.getuid?.() && Date.now() - mtimeMs > HOUR_MS;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return errorCode(error) !== 'ESRCH';
  }
}

function roomIn(dir: string): number {
  try {
    const { bavail, bsize } = statfsSync(dir);
    return bavail * bsize;
  } catch {
    return 0;
  }
}
