// Finds the tools of each generator's language, and tells whether its registry can be reached.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

export const HERE = import.meta.dirname;
/** A compiler on a busy machine. */
const RUN_MS = 900_000;
/** A registry that has not answered by then counts as one that is not reached. */
const ASK_MS = 20_000;

/** The variables of this test run would change what the tools do. */
const INHERITED = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) =>
      !/^(POSTHORN_|TAP|NODE_OPTIONS|NODE_COMPILE_CACHE|npm_(?!config_registry$))/.test(name),
  ),
);

/**
 * Runs a program and returns what it printed to stdout.
 *
 * @throws Error with all that it printed, unless it ends with 0 in time.
 */
export async function run(
  command: readonly [string, ...string[]],
  cwd: string,
  env: Record<string, string> = {},
  timeoutMs = RUN_MS,
): Promise<string> {
  const [file, ...args] = command;
  try {
    const { stdout } = await promisify(execFile)(file, args, {
      cwd,
      env: { ...INHERITED, ...env },
      timeout: timeoutMs,
      maxBuffer: 64 * 1024 * 1024,
    });
    return stdout;
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as Error & Record<string, string>;
    throw new Error(`${command.join(' ')}: ${stdout}${stderr || message}`);
  }
}

/** A way to get packages: how to ask its registry for something small, and how to install. */
export interface Packages {
  /** The registry's name, for people. */
  readonly registry: string;
  /** Runs without the registry if the tool is here, and new enough. */
  readonly tool: readonly [string, ...string[]];
  /** Asks the registry. It must not be answered from a cache. */
  readonly ask: readonly [string, ...string[]];
  /** Whether all that is needed has been installed already. */
  isInstalled(): Promise<boolean>;
}

/** Returns why packages cannot be had on this machine, or false. */
export async function whyNot({
  registry,
  tool,
  ask,
  isInstalled,
}: Packages): Promise<string | false> {
  const [name] = tool;
  const noTool = await complaintOf(tool);
  if (noTool !== false) return `${name} is not here, or too old: ${noTool}`;
  if (await isInstalled()) return false;
  const noAnswer = await complaintOf(ask);
  return noAnswer === false ? false : `${registry} does not answer: ${noAnswer}`;
}

/** Returns the last line of what a program complains about, or false if it works. */
export async function complaintOf(
  command: readonly [string, ...string[]],
  env: Record<string, string> = {},
): Promise<string | false> {
  try {
    await run(command, GO_MODULE, env, ASK_MS);
    return false;
  } catch (error) {
    return (
      String((error as Error).message)
        .trim()
        .split('\n')
        .at(-1) ?? 'no reason'
    );
  }
}

const GO_MODULE = join(HERE, 'go');

export const go: Packages = {
  registry: "Go's module proxy",
  // In the folder of go.mod, which says how new it must be.
  tool: ['go', 'version'],
  ask: ['go', 'list', '-m', '-versions', 'github.com/ogen-go/ogen'],
  isInstalled: async () =>
    (await complaintOf(['go', 'mod', 'download'], { GOPROXY: 'off' })) === false,
};

export const python: Packages = {
  registry: 'PyPI',
  tool: [
    'python3',
    '-c',
    'import sys, pip; sys.exit(None if sys.version_info >= (3, 11) else sys.version)',
  ],
  ask: [
    ...(['python3', '-m', 'pip', 'index', 'versions'] as const),
    ...['--retries', '0', '--timeout', '15', 'openapi-python-client'],
  ],
  isInstalled: async () => existsSync(folderOf('python', ['requirements.txt'])),
};

export const npm: Packages = {
  registry: "npm's registry",
  tool: ['npm', '--version'],
  ask: [
    ...(['npm', 'view', 'openapi-typescript', 'name', '--prefer-online'] as const),
    ...['--fetch-retries=0', '--fetch-timeout=15000', '--logs-max=0'],
  ],
  isInstalled: async () =>
    existsSync(folderOf('openapi-typescript', ['package.json', 'package-lock.json'])),
};

/** Installs the Python packages, if they are not there yet, and returns their folder. */
export function installPython(): Promise<string> {
  return install('python', ['requirements.txt'], async (folder) => {
    const pip = ['python3', '-m', 'pip', 'install', '--quiet', '--target', folder] as const;
    const pinned = ['--require-hashes', '--no-deps', '--only-binary', ':all:'];
    await run([...pip, ...pinned, '--requirement', 'requirements.txt'], folder);
  });
}

/** Installs the npm packages, if they are not there yet, and returns their folder. */
export function installNpm(): Promise<string> {
  return install('openapi-typescript', ['package.json', 'package-lock.json'], async (folder) => {
    await run(['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund'], folder);
  });
}

/** Installs into a folder that the next run finds, whole or not at all. */
async function install(
  name: string,
  files: readonly string[],
  fill: (folder: string) => Promise<void>,
): Promise<string> {
  const folder = folderOf(name, files);
  if (existsSync(folder)) return folder;
  const unfinished = `${folder}.${process.pid}`;
  mkdirSync(unfinished);
  try {
    for (const file of files) cpSync(join(HERE, name, file), join(unfinished, file));
    await fill(unfinished);
    renameSync(unfinished, folder);
  } catch (error) {
    // Another run may have been faster.
    if (!existsSync(folder)) throw error;
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return folder;
}

/** Where packages are kept from run to run: its name changes with what is pinned. */
function folderOf(name: string, files: readonly string[]): string {
  const hash = createHash('sha256').update(process.arch);
  for (const file of files) hash.update(readFileSync(join(HERE, name, file)));
  return join(kept(), `${name}-${hash.digest('hex').slice(0, 16)}`);
}

/** A folder of this user alone: what is in it is run. */
function kept(): string {
  const { uid, username } = userInfo();
  const folder = join(tmpdir(), `posthorn-generators-${username}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stats = statSync(folder);
  if (stats.uid !== uid && uid !== -1) throw new Error(`${folder} belongs to another user.`);
  return folder;
}
