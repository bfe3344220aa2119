import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errorMessage } from '../lib/errors.ts';

/** A file that is being written. It has its name only once it is whole. */
export interface WholeFile {
  write(bytes: Uint8Array | string): Promise<void>;
  /** Waits until it is on the disk, and gives it its name, in place of an older one. */
  finish(): Promise<void>;
  /** Removes what was written. */
  discard(): Promise<void>;
}

/** The end of the name of an unfinished file. */
const PARTIAL = '.partial';
/** No export takes so long; the process that wrote the file was killed. */
const LEFT_BEHIND_MS = 86_400_000;

/**
 * Begins a file in a folder, which is created if it is missing. Unfinished files of killed processes are removed there.
 *
 * @throws Error that names the file, here and in `write` and `finish`.
 */
export async function createWholeFile(path: string): Promise<WholeFile> {
  const folder = dirname(path);
  const partial = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}${PARTIAL}`);
  const writing = <T>(work: () => Promise<T>): Promise<T> => explaining(path, work);
  const file = await writing(async () => {
    await mkdir(folder, { recursive: true });
    await removeLeftBehind(folder);
    return await open(partial, 'wx');
  });
  return {
    write: (bytes) => writing(() => file.writeFile(bytes)),
    finish: () =>
      writing(async () => {
        await file.sync();
        await file.close();
        await rename(partial, path);
        await syncFolder(folder);
      }),
    async discard() {
      await file.close().catch(() => {});
      await rm(partial, { force: true });
    },
  };
}

/** The errors of files have codes like those of a database that is away (ENOENT). */
async function explaining<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Error(`${path} cannot be written: ${errorMessage(error)}`, { cause: error });
  }
}

/** Until then, a crash of the machine could take the new name away again. */
async function syncFolder(folder: string): Promise<void> {
  const opened = await open(folder, 'r');
  try {
    await opened.sync();
  } finally {
    await opened.close();
  }
}

async function removeLeftBehind(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith(PARTIAL)) continue;
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > LEFT_BEHIND_MS)
      await rm(path, { force: true });
  }
}
