import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errorMessage, OperatorError } from '../../lib/errors.ts';
import type { Binaries } from './binaries.ts';
import { makeFolder, type Owner } from './owner.ts';

const MAJOR_VERSION = '18';

/** The database user that owns the cluster. */
export const USER = 'posthorn';

/**
 * Creates the cluster, the folder in which Postgres keeps its data, if it does not exist yet.
 *
 * @throws OperatorError when it cannot be created, or belongs to another major version.
 */
export async function prepareCluster(
  binaries: Binaries,
  cluster: string,
  owner: Owner,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (!existsSync(join(cluster, 'PG_VERSION'))) await initialise(binaries, cluster, owner, signal);
  signal?.throwIfAborted();
  await requireMajorVersion(cluster);
}

async function initialise(
  binaries: Binaries,
  cluster: string,
  owner: Owner,
  signal: AbortSignal | undefined,
): Promise<void> {
  // Created beside its place and renamed, so that an interrupted initdb leaves no half-made cluster.
  const unfinished = `${cluster}.new-${process.pid}`;
  for (const name of await readdir(owner.dataDir)) {
    if (!name.startsWith('postgres.new')) continue;
    await rm(join(owner.dataDir, name), { recursive: true, force: true });
  }
  // Not by initdb, since the parent folder may be root's.
  await makeFolder(unfinished, owner.identity);
  const child = spawn(
    binaries.initdb,
    [
      `--pgdata=${unfinished}`,
      `--username=${USER}`,
      '--auth-local=trust',
      '--auth-host=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      '--no-instructions',
    ],
    {
      ...owner.identity,
      cwd: unfinished,
      env: serverEnvironment(),
      // Ctrl-C goes to the whole process group of a terminal; Posthorn itself ends initdb.
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  const abandon = () => void child.kill();
  process.once('exit', abandon);
  signal?.addEventListener('abort', abandon);
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk;
  });
  const problem = await once(child, 'close').then(
    ([code, signal]) =>
      code === 0 ? undefined : signal === null ? lastLine(stderr) : `${signal} ended initdb`,
    errorMessage,
  );
  process.off('exit', abandon);
  signal?.removeEventListener('abort', abandon);
  if (problem !== undefined) {
    await rm(unfinished, { recursive: true, force: true });
    signal?.throwIfAborted();
    throw new OperatorError(`Postgres could not create its data folder ${cluster}: ${problem}`);
  }
  await rename(unfinished, cluster);
}

async function requireMajorVersion(cluster: string): Promise<void> {
  const version = (await readFile(join(cluster, 'PG_VERSION'), 'utf8')).trim();
  if (version !== MAJOR_VERSION) {
    throw new OperatorError(
      `The data in ${cluster} is of Postgres ${version}, but the embedded Postgres is ${MAJOR_VERSION}. Dump it with Postgres ${version} and restore it into a new folder, or set POSTHORN_DATA_DIR to another one.`,
    );
  }
}

/** Returns the environment variables for the programs of Postgres. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  // PG* variables of the shell would change what the server and initdb do; MALLOC_* is set by main.ts for
  // this process only.
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(PG|LC_|LANG|MALLOC_)/.test(name),
  );
  return { ...Object.fromEntries(inherited), LC_ALL: 'C', TZ: 'UTC' };
}

/** Returns the last line of a log that reports an error. */
export function lastLine(text: string): string {
  const lines = text.trim().split('\n');
  return (
    lines.findLast((line) => /FATAL|ERROR|error:/.test(line)) ?? lines.at(-1) ?? 'no reason given'
  );
}
