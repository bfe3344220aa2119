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

/** Who the embedded Postgres runs as, and where it may keep its data. */
export interface Owner {
  /** For `spawn`: empty when we are an ordinary user ourselves. */
  readonly identity: Partial<User>;
  /** The data folder, as it is to be used: never a link. */
  readonly dataDir: string;
}

/** Where root's data and programs go when their own folders are closed to the user Postgres runs as. */
export const SHARED_DIR = '/var/lib/posthorn';

/** What is in a data folder before it has a cluster: what an interrupted start leaves, or a file system. */
const NOT_FOREIGN = /^(postgres\.(new.*|log)|posthorn\.lock.*|lost\+found)$/;
const ANOTHER =
  'Set POSTHORN_DATA_DIR to a folder that is new, or empty, or that Posthorn has made.';

/**
 * Finds or makes the user that the embedded Postgres runs as, and its data folder.
 *
 * A folder that is there already must be empty or hold a cluster of ours, and is left as it is: as
 * root, Postgres then runs as the user who owns the cluster, or the empty folder. Only a folder that
 * is made here is given to the user.
 *
 * As root, the wanted folder may lie where that user cannot go (/root, or what `mktemp -d` makes).
 * The data then goes under /var/lib/posthorn, and the wanted folder becomes a link to it, so that
 * the next start finds it again.
 *
 * @throws OperatorError when the folder is not for us or cannot be used, or when no unprivileged
 *   user can be found or made. Nothing is changed then.
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
      `The data folder ${wantedDir} cannot be used: ${errorMessage(error)}. Set POSTHORN_DATA_DIR to one that can be written.`,
    );
  }
}

/** Makes a folder that only this user can enter. Nothing that is there already is changed. */
export async function makeFolder(dir: string, { uid, gid }: Partial<User>): Promise<void> {
  await mkdir(dir, { mode: 0o700 });
  // Not chown: whoever may write beside it could have put a link in its place.
  if (uid !== undefined && gid !== undefined) await lchown(dir, uid, gid);
}

async function realpathOfLink(wantedDir: string): Promise<string> {
  const dataDir = await realpath(wantedDir).catch(undefinedIfMissing);
  if (dataDir !== undefined) return dataDir;
  throw new OperatorError(
    `The data folder ${wantedDir} is a link to a folder that is not there. Bring that back, or remove the link to begin anew.`,
  );
}

/**
 * Who owns the cluster in a folder; undefined where there is none yet.
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
        `The data folder ${dataDir} is another user's. Run Posthorn as that user, or set POSTHORN_DATA_DIR to another folder.`,
      );
    }
    if (!['ENOENT', 'ENOTDIR'].includes(errorCode(error) ?? '')) throw error;
  }
  const foreign = (await readdir(dataDir)).find((name) => !NOT_FOREIGN.test(name));
  if (foreign === undefined) return undefined;
  throw new OperatorError(
    `The data folder ${dataDir} holds other things (${foreign}) and no data of Posthorn. ${ANOTHER}`,
  );
}

async function requireUsable(dataDir: string, clusterOwner: User | undefined): Promise<void> {
  const writable = await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  const ours = clusterOwner === undefined || clusterOwner.uid === process.getuid?.();
  // On Windows, nobody has a number.
  if (writable && (ours || process.getuid === undefined)) return;
  throw new OperatorError(
    `The data folder ${dataDir} is another user's. Run Posthorn as that user, or set POSTHORN_DATA_DIR to another folder.`,
  );
}

async function ownerForRoot(dataDir: string, clusterOwner: User | undefined): Promise<User> {
  if (clusterOwner?.uid === 0) {
    throw new OperatorError(
      `The data in ${dataDir} is root's, and Postgres cannot run as root. Give it to an ordinary user (chown -R), or set POSTHORN_DATA_DIR to another folder.`,
    );
  }
  const { uid, gid } = clusterOwner ?? (await stat(dataDir));
  // initdb wants a user with a name, which the owner of a container's mounted folder may not have.
  const usable = clusterOwner !== undefined || (uid !== 0 && hasName(uid));
  const user = usable ? { uid, gid } : unprivilegedUser();
  if (await canEnter(dataDir, user)) return user;
  throw new OperatorError(
    `Postgres cannot run as root, and its user cannot reach ${dataDir}. Remove that folder if it holds nothing, or set POSTHORN_DATA_DIR to one outside of closed folders.`,
  );
}

/** Makes the wanted folder, or a link to one where that user can go. */
async function makeForUser(wantedDir: string, user: User): Promise<void> {
  await mkdir(dirname(wantedDir), { recursive: true });
  if (await canEnter(dirname(wantedDir), user)) return await makeAtOnce(wantedDir, user);
  const name = createHash('sha256').update(wantedDir).digest('hex').slice(0, 8);
  const dataDir = join(SHARED_DIR, `${basename(dirname(wantedDir))}-${name}`);
  await mkdir(SHARED_DIR, { recursive: true, mode: 0o755 });
  // It may be there from an earlier time, whose link was removed.
  if ((await lstat(dataDir).catch(undefinedIfMissing)) === undefined) {
    await makeAtOnce(dataDir, user);
  }
  await symlink(dataDir, wantedDir).catch(unlessThere);
}

/** Another start at the same time must not see the folder before it is the user's. */
async function makeAtOnce(dir: string, user: User): Promise<void> {
  const draft = `${dir}.new-${process.pid}`;
  await makeFolder(draft, user);
  try {
    await rename(draft, dir);
  } catch (error) {
    await rmdir(draft);
    unlessThere(error);
  }
}

/** Whatever came there in the meantime is looked at as if it had been there before. */
function unlessThere(error: unknown): void {
  if (!['EEXIST', 'ENOTEMPTY', 'ENOTDIR'].includes(errorCode(error) ?? '')) throw error;
}

function undefinedIfMissing(error: unknown): undefined {
  if (errorCode(error) !== 'ENOENT') throw error;
}

/** Whether a user can go into a folder: every folder on the way must let them pass. */
export async function canEnter(dir: string, { uid, gid }: User): Promise<boolean> {
  for (let at = await realpath(dir); ; at = dirname(at)) {
    const { mode, uid: owner, gid: group } = await stat(at);
    const bit = owner === uid ? 0o100 : group === gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (at === resolve(at, '..')) return true;
  }
}

function unprivilegedUser(): User {
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
