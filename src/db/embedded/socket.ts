import { createHash } from 'node:crypto';
import { lstat, mkdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { errorCode, OperatorError } from '../../lib/errors.ts';
import { makeFolder, type Owner } from './owner.ts';

/**
 * The folder of the server's socket: that of a server that runs already, or else one in the
 * temporary folder, made here. A socket's path may have about 100 characters, and folders of
 * projects are often deeper; so its name follows from the data folder.
 *
 * @throws OperatorError when the folder is not the server's alone. Everybody may write in the
 *   temporary folder: whoever was there first could listen in our database's place.
 */
export async function findSocketDir(owner: Owner, cluster: string): Promise<string> {
  const hash = createHash('sha256').update(owner.dataDir).digest('hex').slice(0, 12);
  const name = `posthorn-${hash}`;
  // Under another TMPDIR than now, perhaps.
  const running = await socketDirOfServer(cluster);
  if (running !== undefined && basename(running) === name && (await exists(running))) {
    await requirePrivate(running, owner);
    return running;
  }
  const socketDir = join(tmpdir(), name);
  try {
    await mkdir(tmpdir(), { recursive: true });
    await makeFolder(socketDir, owner.identity);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') {
      throw new OperatorError(
        `The socket folder ${socketDir} cannot be made: ${(error as Error).message}. Set TMPDIR to a folder that can be written.`,
      );
    }
  }
  await requirePrivate(socketDir, owner);
  return socketDir;
}

/** As the server writes it down; also of one that was killed. */
async function socketDirOfServer(cluster: string): Promise<string | undefined> {
  const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => '');
  return text.split('\n')[4] || undefined;
}

async function exists(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  );
}

async function requirePrivate(socketDir: string, { identity }: Owner): Promise<void> {
  const uid = identity.uid ?? process.getuid?.();
  if (uid === undefined) return;
  const found = await lstat(socketDir);
  if (found.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0) return;
  throw new OperatorError(
    `The socket folder ${socketDir} may be another user's: it is a link, not owned by user ${uid}, or open to others. Remove it, or set TMPDIR to a folder of your own.`,
  );
}
