import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import {
  access,
  lchown,
  lstat,
  mkdir,
  readdir,
  realpath,
  rename,
  rmdir,
  stat,
  symlink,
} from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { errorCode, errorMessage, OperatorError } from '../../lib/errors.ts';

/** A user of this machine, with its group. */
export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** The user that the embedded Postgres runs as, and its data folder. */
export interface Owner {
  /** Options for `spawn`: empty when Posthorn itself runs as an ordinary user. */
  readonly identity: Partial<User>;
  /** The data folder with links resolved. */
  readonly dataDir: string;
}

/** The place for data and programs if root started Posthorn and Postgres's user cannot enter their folders. */
export const SHARED_DIR = '/var/lib/posthorn';

/** Names in a data folder without a cluster that an interrupted start or the file system may have left. */
const NOT_FOREIGN = /^(postgres\.(new.*|log)|posthorn\.lock.*|lost\+found)$/;
const ANOTHER =
  'Set POSTHORN_DATA_DIR to a new folder, an empty one, or one that Posthorn has made.';

/**
 * Finds or makes the user that the embedded Postgres runs as, and its data folder.
 *
 * An existing folder must be empty or contain a cluster of Posthorn, and is not changed: if root starts
 * Posthorn, Postgres runs as the user that owns the cluster or the empty folder. Only a folder that is
 * created here is given to the user.
 *
 * For root, the wanted folder may lie where that user cannot enter (/root, or a folder of `mktemp -d`). The
 * data then goes under /var/lib/posthorn, and the wanted folder becomes a link to it, so that the next start
 * finds it again.
 *
 * @throws OperatorError when the folder contains other things or cannot be used, or when no unprivileged
 *   user can be found or created. Nothing is changed then.
 */
export async function prepareOwner(wantedDir: string): Promise<Owner> {
  try {
    const asRoot = process.getuid?.() === 0;
    if ((await lstat(wantedDir).catch(undefinedIfMissing)) === undefined) {
      if (asRoot) await makeForUser(wantedDir, unprivilegedUser());
      else await mkdir(wantedDir, { recursive: true, mode: 0o700 });
    }
    const dataDir = await realpathOfLink(wantedDir);
    const clusterOwner = await requireOurs(dataDir);
    if (asRoot) return { identity: await ownerForRoot(dataDir, clusterOwner), dataDir };
    await requireUsable(dataDir, clusterOwner);
    return { identity: {}, dataDir };
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    throw new OperatorError(
      `The data folder ${wantedDir} cannot be used: ${errorMessage(error)}. Set POSTHORN_DATA_DIR to a folder that Posthorn can write.`,
    );
  }
}

/** Creates a folder that only this user can enter. Fails if it exists already. */
export async function makeFolder(dir: string, { uid, gid }: Partial<User>): Promise<void> {
  await mkdir(dir, { mode: 0o700 });
  // Not chown: another user who may write in the parent folder could have put a link in its place.
  if (uid !== undefined && gid !== undefined) await lchown(dir, uid, gid);
}

async function realpathOfLink(wantedDir: string): Promise<string> {
  const dataDir = await realpath(wantedDir).catch(undefinedIfMissing);
  if (dataDir !== undefined) return dataDir;
  throw new OperatorError(
    `The data folder ${wantedDir} is a link to a folder that does not exist. Bring that folder back, or remove the link to start with no data.`,
  );
}

/**
 * Returns the owner of the cluster in a folder; undefined if there is no cluster yet.
 *
 * @throws OperatorError when the folder holds anything else.
 */
async function requireOurs(dataDir: string): Promise<User | undefined> {
  if (!(await stat(dataDir)).isDirectory()) {
    throw new OperatorError(`The data folder ${dataDir} is not a folder. ${ANOTHER}`);
  }
  try {
    return await stat(join(dataDir, 'postgres', 'PG_VERSION'));
  } catch (error) {
    if (errorCode(error) === 'EACCES') {
      throw new OperatorError(
        `The data folder ${dataDir} belongs to another user. Run Posthorn as that user, or set POSTHORN_DATA_DIR to another folder.`,
      );
    }
    if (!['ENOENT', 'ENOTDIR'].includes(errorCode(error) ?? '')) throw error;
  }
  const foreign = (await readdir(dataDir)).find((name) => !NOT_FOREIGN.test(name));
  if (foreign === undefined) return undefined;
  throw new OperatorError(
    `The data folder ${dataDir} contains other things (${foreign}) and no data of Posthorn. ${ANOTHER}`,
  );
}

async function requireUsable(dataDir: string, clusterOwner: User | undefined): Promise<void> {
  const writable = await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  const ours = clusterOwner === undefined || clusterOwner.uid === process.getuid?.();
  // On Windows users have no numeric ids.
  if (writable && (ours || process.getuid === undefined)) return;
  throw new OperatorError(
    `The data folder ${dataDir} belongs to another user. Run Posthorn as that user, or set POSTHORN_DATA_DIR to another folder.`,
  );
}

async function ownerForRoot(dataDir: string, clusterOwner: User | undefined): Promise<User> {
  if (clusterOwner?.uid === 0) {
    throw new OperatorError(
      `The data in ${dataDir} belongs to root, and Postgres cannot run as root. Give it to an ordinary user (chown -R), or set POSTHORN_DATA_DIR to another folder.`,
    );
  }
  const { uid, gid } = clusterOwner ?? (await stat(dataDir));
  // initdb needs a user with a name; the owner of a folder mounted into a container may have none.
  const usable = clusterOwner !== undefined || (uid !== 0 && hasName(uid));
  const user = usable ? { uid, gid } : unprivilegedUser();
  if (await canEnter(dataDir, user)) return user;
  throw new OperatorError(
    `Postgres cannot run as root, and its user cannot reach ${dataDir}. Remove that folder if it is empty, or set POSTHORN_DATA_DIR to a folder that this user can enter.`,
  );
}

/** Creates the wanted folder, or a link to a folder that the user can enter. */
async function makeForUser(wantedDir: string, user: User): Promise<void> {
  await mkdir(dirname(wantedDir), { recursive: true });
  if (await canEnter(dirname(wantedDir), user)) return await makeAtOnce(wantedDir, user);
  const name = createHash('sha256').update(wantedDir).digest('hex').slice(0, 8);
  const dataDir = join(SHARED_DIR, `${basename(dirname(wantedDir))}-${name}`);
  await mkdir(SHARED_DIR, { recursive: true, mode: 0o755 });
  // It may exist from an earlier start whose link was removed.
  if ((await lstat(dataDir).catch(undefinedIfMissing)) === undefined) {
    await makeAtOnce(dataDir, user);
  }
  await symlink(dataDir, wantedDir).catch(unlessExists);
}

/** Creates the folder and its ownership in one step, so that a concurrent start never sees it as root's. */
async function makeAtOnce(dir: string, user: User): Promise<void> {
  const draft = `${dir}.new-${process.pid}`;
  await makeFolder(draft, user);
  try {
    await rename(draft, dir);
  } catch (error) {
    await rmdir(draft);
    unlessExists(error);
  }
}

/** Ignores that the target was created in the meantime; the caller checks it like an older one. */
function unlessExists(error: unknown): void {
  if (!['EEXIST', 'ENOTEMPTY', 'ENOTDIR'].includes(errorCode(error) ?? '')) throw error;
}

function undefinedIfMissing(error: unknown): undefined {
  if (errorCode(error) !== 'ENOENT') throw error;
}

/** Returns true if a user can enter a folder: all folders above must let the user pass too. */
export async function canEnter(dir: string, { uid, gid }: User): Promise<boolean> {
  for (let folder = await realpath(dir); ; folder = dirname(folder)) {
    const { mode, uid: owner, gid: group } = await stat(folder);
    const bit = owner === uid ? 0o100 : group === gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (folder === resolve(folder, '..')) return true;
  }
}

function unprivilegedUser(): User {
  return (
    findUser('posthorn') ??
    findUser('postgres') ??
    makeUser('posthorn') ??
    findUser('nobody') ??
    fail(
      'Postgres cannot run as root, and no other user could be found or created for it. Run Posthorn as an ordinary user, or create a user named posthorn.',
    )
  );
}

function findUser(name: string): User | undefined {
  const uid = spawnSync('id', ['-u', name], { encoding: 'utf8' });
  const gid = spawnSync('id', ['-g', name], { encoding: 'utf8' });
  if (uid.status !== 0 || gid.status !== 0) return undefined;
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}

function hasName(uid: number): boolean {
  return spawnSync('id', ['-un', String(uid)]).status === 0;
}

function makeUser(name: string): User | undefined {
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
