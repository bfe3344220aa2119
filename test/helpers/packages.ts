// Installs what programs in other languages need, and tells whether it can be had on this machine.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

/** A compiler on a busy machine. */
const RUN_MS = 900_000;
/** A registry that has not answered by then counts as one that is not reached. A busy machine starts Maven in 12 s. */
const ASK_MS = 60_000;

/** The variables of this test run would change what the tools do. */
const INHERITED = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) =>
      !/^(POSTHORN_|TAP|NODE_OPTIONS|NODE_COMPILE_CACHE|npm_(?!config_registry$))/.test(name),
  ),
);

export type Command = readonly [string, ...string[]];

/** A program was ended because its time was over. */
export class TookTooLong extends Error {}

/**
 * Runs a program and returns what it printed to stdout.
 *
 * @throws TookTooLong when it does not end in time.
 * @throws Error with all that it printed, unless it ends with 0.
 */
export async function run(
  command: Command,
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
    const said = `${command.join(' ')}: ${stdout}${stderr || message}`;
    if ((error as { killed?: boolean }).killed !== true) throw new Error(said);
    throw new TookTooLong(`It took longer than ${Math.round(timeoutMs / 1000)} s: ${said}`);
  }
}

/** A program that must be here. */
export interface Tool {
  /** Runs without the registry. */
  readonly command: Command;
  /** The least version; the first version in what the program prints is compared. */
  readonly atLeast?: string;
}

/** What a language needs. */
export interface Toolchain {
  readonly tools: readonly Tool[];
  /** Where its packages come from, unless it has none. */
  readonly registry?: {
    /** For people. */
    readonly name: string;
    /** Asks for something small. It must not be answered from a cache. */
    readonly ask: Command;
  };
}

/**
 * Returns why packages cannot be had on this machine, or false.
 *
 * @param isInstalled whether all that is needed has been installed already. Then nothing else is asked: with all
 *   its tools, a language takes up to a second to ask.
 */
export async function whyNot(
  { tools, registry }: Toolchain,
  isInstalled: () => Promise<boolean> | boolean,
): Promise<string | false> {
  if (await isInstalled()) return false;
  for (const tool of tools) {
    const complaint = await complaintOfTool(tool);
    if (complaint !== false) return complaint;
  }
  if (registry === undefined) return false;
  const noAnswer = await complaintOf(registry.ask);
  return noAnswer === false ? false : `${registry.name} does not answer: ${noAnswer}`;
}

async function complaintOfTool({ command, atLeast = '0' }: Tool): Promise<string | false> {
  const [name] = command;
  const printed = await run(command, tmpdir(), {}, ASK_MS).catch((error: Error) => error);
  if (printed instanceof Error) return `${name} is not here, or too old: ${lastLine(printed)}`;
  const [version = '0'] = /\d+(\.\d+)*/.exec(printed) ?? [];
  if (version.localeCompare(atLeast, 'en', { numeric: true }) >= 0) return false;
  return `${name} is too old: ${version}, not ${atLeast}`;
}

/** Returns the last line of what a program complains about, or false if it works. */
export async function complaintOf(
  command: Command,
  cwd: string = tmpdir(),
  env: Record<string, string> = {},
): Promise<string | false> {
  try {
    await run(command, cwd, env, ASK_MS);
    return false;
  } catch (error) {
    return lastLine(error as Error);
  }
}

function lastLine({ message }: Error): string {
  return message.trim().split('\n').at(-1) ?? 'no reason';
}

/** The packages to install. The name of the folder depends on them. */
export interface Pinned {
  readonly source: string;
  /** Files of the source. */
  readonly files: readonly string[];
  /** More that the name of the folder depends on, such as the version of a language. */
  readonly variant?: string;
}

/**
 * Installs into a folder that the next run finds, whole or not at all, and returns it.
 *
 * @param pinned what is installed.
 * @param fill installs into the folder, where the files are.
 */
export async function install(
  pinned: Pinned,
  fill: (folder: string) => Promise<void>,
): Promise<string> {
  const { source, files } = pinned;
  const folder = installedFolder(pinned);
  if (existsSync(folder)) return folder;
  const unfinished = `${folder}.${process.pid}`;
  mkdirSync(unfinished);
  try {
    for (const file of files) cpSync(join(source, file), join(unfinished, file));
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

/** Returns where packages are kept from run to run, whether they are there or not. */
export function installedFolder({ source, files, variant = '' }: Pinned): string {
  const hash = createHash('sha256').update(process.arch).update(variant);
  for (const file of files) hash.update(readFileSync(join(source, file)));
  return keptFolder(`${basename(source)}-${hash.digest('hex').slice(0, 16)}`);
}

/** Returns where something is kept from run to run: in a folder of this user alone, because it is run. */
export function keptFolder(name: string): string {
  const { uid, username } = userInfo();
  const folder = join(tmpdir(), `posthorn-packages-${username}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stats = statSync(folder);
  if (stats.uid !== uid && uid !== -1) throw new Error(`${folder} belongs to another user.`);
  return join(folder, name);
}
