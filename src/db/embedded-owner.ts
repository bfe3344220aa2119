import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, chown, lstat, mkdir, realpath, stat, symlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { OperatorError } from '../lib/errors.ts';

/** Who the embedded Postgres runs as, and where it may keep its data. */
export interface Owner {
  /** For `spawn`: empty when we are an ordinary user ourselves. */
  readonly identity: { readonly uid?: number; readonly gid?: number };
  /** The data folder, made, and owned by that user. */
  readonly dataDir: string;
}

/** Where root's data and programs go when their own folders are closed to the user Postgres runs as. */
export const SHARED_DIR = '/var/lib/posthorn';

/**
 * Finds or makes the user that the embedded Postgres runs as, and makes its data folder.
 *
 * As root, the wanted folder may lie where that user cannot go (/root, or what `mktemp -d` makes).
 * The data then goes under /var/lib/posthorn, and the wanted folder becomes a link to it, so that
 * the next start finds it again.
 *
 * @throws OperatorError when no unprivileged user can be found or made, or the folder not written.
 */
export async function prepareOwner(wantedDir: string): Promise<Owner> {
  try {
    if (process.getuid?.() !== 0) {
      await mkdir(wantedDir, { recursive: true, mode: 0o700 });
      return { identity: {}, dataDir: await realpath(wantedDir) };
    }
    const identity = unprivilegedUser();
    const dataDir = await openDataDir(wantedDir, identity);
    await chown(dataDir, identity.uid, identity.gid);
    await chmod(dataDir, 0o700);
    return { identity, dataDir };
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    throw new OperatorError(
      `The data folder ${wantedDir} cannot be used: ${(error as Error).message}. Set POSTHORN_DATA_DIR to one that can be written.`,
    );
  }
}

async function openDataDir(
  wantedDir: string,
  identity: { uid: number; gid: number },
): Promise<string> {
  await mkdir(dirname(wantedDir), { recursive: true });
  const existing = await lstat(wantedDir).catch(() => undefined);
  if (existing !== undefined) {
    const dataDir = await realpath(wantedDir);
    if (await canEnter(dirname(dataDir), identity)) return dataDir;
    throw new OperatorError(
      `Postgres cannot run as root, and its user cannot reach ${dataDir}. Remove that folder if it holds nothing, or set POSTHORN_DATA_DIR to one outside of closed folders.`,
    );
  }
  if (await canEnter(dirname(wantedDir), identity)) {
    await mkdir(wantedDir, { mode: 0o700 });
    return await realpath(wantedDir);
  }
  const name = createHash('sha256').update(wantedDir).digest('hex').slice(0, 8);
  const dataDir = join(SHARED_DIR, `${basename(dirname(wantedDir))}-${name}`);
  await mkdir(SHARED_DIR, { recursive: true, mode: 0o755 });
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  await symlink(dataDir, wantedDir);
  return dataDir;
}

/** Whether a user can go into a folder: every folder on the way must let them pass. */
export async function canEnter(
  dir: string,
  { uid, gid }: { uid: number; gid: number },
): Promise<boolean> {
  for (let at = await realpath(dir); ; at = dirname(at)) {
    const { mode, uid: owner, gid: group } = await stat(at);
    const bit = owner === uid ? 0o100 : group === gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (at === resolve(at, '..')) return true;
  }
}

function unprivilegedUser(): { uid: number; gid: number } {
  return (
    findUser('posthorn') ??
    findUser('postgres') ??
    makeUser('posthorn') ??
    findUser('nobody') ??
    fail(
      'Postgres cannot run as root, and no user for it could be found or made. Run Posthorn as an ordinary user, or make a user named posthorn.',
    )
  );
}

function findUser(name: string): { uid: number; gid: number } | undefined {
  const uid = spawnSync('id', ['-u', name], { encoding: 'utf8' });
  const gid = spawnSync('id', ['-g', name], { encoding: 'utf8' });
  if (uid.status !== 0 || gid.status !== 0) return undefined;
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}

function makeUser(name: string): { uid: number; gid: number } | undefined {
  const made = spawnSync('useradd', [
    '--system',
    '--user-group',
    '--no-create-home',
    '--shell',
    '/usr/sbin/nologin',
    name,
  ]);
  if (made.status !== 0) spawnSync('adduser', ['-S', '-D', '-H', name]); // Alpine's busybox
  return findUser(name);
}

function fail(message: string): never {
  throw new OperatorError(message);
}
