import { createHash } from 'node:crypto';
import { lstat, mkdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { errorCode, OperatorError } from '../../lib/errors.ts';
import { makeFolder, type Owner } from './owner.ts';

/**
 * Returns the folder of the server's socket: that of a running server, or else a folder created in the
 * temporary folder. A socket's path may have about 100 characters, and project folders are often deeper, so
 * the name is a hash of the data folder.
 *
 * @throws OperatorError when other users can enter the folder. Every user may write in the temporary folder,
 *   so another user could have created it first and listen in place of the database.
 */
export async function findSocketDir(owner: Owner, cluster: string): Promise<string> {
  const hash = createHash('sha256').update(owner.dataDir).digest('hex').slice(0, 12);
  const name = `posthorn-${hash}`;
  // The running server may have been started with another TMPDIR.
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
        `The socket folder ${socketDir} cannot be created: ${(error as Error).message}. Set TMPDIR to a folder that Posthorn can write.`,
      );
    }
  }
  await requirePrivate(socketDir, owner);
  return socketDir;
}

/** Reads the socket folder from the server's pid file, which a killed server leaves behind. */
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
  const folder = await lstat(socketDir);
  if (folder.isDirectory() && folder.uid === uid && (folder.mode & 0o077) === 0) return;
  throw new OperatorError(
    `The socket folder ${socketDir} may belong to another user: it is a link, not owned by user ${uid}, or open to others. Remove it, or set TMPDIR to a folder of your own.`,
  );
}
