// How the examples of each language are installed and run.
import { cpSync, existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import {
  type Command,
  install,
  installedFolder,
  keptFolder,
  type Pinned,
  run,
  TookTooLong,
  type Toolchain,
  whyNot,
} from '../helpers/packages.ts';
import { go, java, npm, python, pythonTag, rust } from '../helpers/toolchains.ts';

/** All programs together may be downloaded and compiled for this long, where nothing is there yet. */
const INSTALL_MS = 840_000;
const deadline = Date.now() + INSTALL_MS;

export interface Language {
  readonly toolchain: Toolchain;
  /** Names what is installed for the example in the folder, if anything is. */
  pinned(source: string): Promise<Pinned> | Pinned | undefined;
  /** Installs into a folder, in which the pinned files are. */
  install(folder: string, timeoutMs: number): Promise<void>;
  /** Names the program and its environment. `scratch` is an empty folder. */
  program(source: string, installed: string, scratch: string): Program;
}

export interface Program {
  readonly command: Command;
  readonly env?: Record<string, string>;
  /** The form of the URL of the database that the language uses, if it has a form of its own. */
  readonly databaseUrl?: (url: URL) => string;
}

/** Programs for Node.js. */
export const inTypeScript: Language = {
  toolchain: npm,
  pinned: (source) => ({
    source,
    files: ['package.json', 'package-lock.json', 'schema.prisma'].filter((file) =>
      existsSync(join(source, file)),
    ),
  }),
  async install(folder, timeoutMs) {
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund'];
    await run(['npm', 'ci', ...quiet], folder, {}, timeoutMs);
    if (!existsSync(join(folder, 'schema.prisma'))) return;
    const prisma = join(folder, 'node_modules', 'prisma', 'build', 'index.js');
    // Prisma would download its program for migrations, from a host of its own, and `generate` does not run it.
    const env = { PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: '1' };
    await run([process.execPath, prisma, 'generate'], folder, env, timeoutMs);
  },
  program(source, installed, scratch) {
    // Outside of the repository, whose own packages Node.js would find.
    cpSync(join(source, 'main.ts'), join(scratch, 'main.ts'));
    writeFileSync(join(scratch, 'package.json'), '{ "type": "module" }');
    symlinkSync(join(installed, 'node_modules'), join(scratch, 'node_modules'));
    const generated = join(installed, 'generated');
    if (existsSync(generated)) cpSync(generated, join(scratch, 'generated'), { recursive: true });
    return { command: [process.execPath, join(scratch, 'main.ts')] };
  },
};

const inPython: Language = {
  toolchain: python,
  pinned: async (source) => ({
    source,
    files: ['requirements.txt'],
    variant: await pythonTag(),
  }),
  async install(folder, timeoutMs) {
    const pip = ['python3', '-m', 'pip', 'install', '--quiet', '--target', folder] as const;
    const given = ['--only-binary', ':all:', '--requirement', 'requirements.txt'];
    await run([...pip, ...given], folder, {}, timeoutMs);
  },
  program: (source, installed) => ({
    command: ['python3', '-s', join(source, 'main.py')],
    env: { PYTHONPATH: installed, PYTHONDONTWRITEBYTECODE: '1', PYTHONUTF8: '1' },
  }),
};

const inGo: Language = {
  toolchain: go,
  pinned: (source) => ({ source, files: ['go.mod', 'go.sum', 'main.go'] }),
  async install(folder, timeoutMs) {
    const flags = ['-trimpath', '-buildvcs=false', '-gcflags=all=-N -l', '-ldflags=-s -w'];
    const env = { CGO_ENABLED: '0' };
    await run(['go', 'build', ...flags, '-o', 'program', '.'], folder, env, timeoutMs);
  },
  program: (_source, installed) => ({ command: [join(installed, 'program')] }),
};

const inRust: Language = {
  toolchain: rust,
  pinned: (source) => ({ source, files: ['Cargo.toml', 'Cargo.lock', 'src/main.rs'] }),
  async install(folder, timeoutMs) {
    // Cargo continues here if a run was broken off, and knows the packages again if the program changes.
    const target = keptFolder('cargo-target');
    const env = {
      CARGO_TARGET_DIR: target,
      CARGO_INCREMENTAL: '0',
      CARGO_PROFILE_DEV_DEBUG: '0',
    };
    await run(['cargo', 'build', '--quiet', '--locked'], folder, env, timeoutMs);
    cpSync(join(target, 'debug', 'orders'), join(folder, 'program'));
  },
  program: (_source, installed) => ({ command: [join(installed, 'program')] }),
};

const inJava: Language = {
  toolchain: java,
  pinned: (source) => ({ source, files: ['pom.xml', 'src/main/java/Main.java'] }),
  async install(folder, timeoutMs) {
    // exec:help shows that this Maven has the plugin with which a reader runs the example.
    const goals = ['compile', 'dependency:copy-dependencies', 'exec:help'];
    await run(['mvn', '-q', '-B', ...goals], folder, {}, timeoutMs);
  },
  program(_source, installed) {
    const target = join(installed, 'target');
    const path = [join(target, 'classes'), join(target, 'dependency', '*')].join(delimiter);
    return {
      // The options halve the start of a program that runs for a second.
      command: ['java', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-cp', path, 'Main'],
      databaseUrl: ({ host, pathname, username, password }) =>
        `jdbc:postgresql://${host}${pathname}?user=${username}&password=${password}`,
    };
  },
};

const inSql: Language = {
  toolchain: { tools: [{ command: ['psql', '--version'] }] },
  pinned: () => undefined,
  install: async () => {},
  program: (source) => ({
    command: ['sh', '-c', 'psql -X -q "$DATABASE_URL" -f "$0"', join(source, 'main.sql')],
  }),
};

/** Returns the language of an example, by its manifest. */
export function languageOf(source: string): Language {
  const has = (file: string) => existsSync(join(source, file));
  if (has('package.json')) return inTypeScript;
  if (has('requirements.txt')) return inPython;
  if (has('go.mod')) return inGo;
  if (has('Cargo.toml')) return inRust;
  if (has('pom.xml')) return inJava;
  if (has('main.sql')) return inSql;
  throw new Error(`${basename(source)} has no manifest.`);
}

/** Installs what an example needs, if it is not there yet. Returns its folder, or why that cannot be done here. */
export async function prepare(source: string): Promise<{ folder: string } | { skip: string }> {
  const language = languageOf(source);
  const pinned = await language.pinned(source);
  const isInstalled = () => pinned !== undefined && existsSync(installedFolder(pinned));
  const skip = await whyNot(language.toolchain, isInstalled);
  if (skip !== false) return { skip };
  if (pinned === undefined) return { folder: source };
  try {
    const fill = (folder: string) => language.install(folder, Math.max(1, deadline - Date.now()));
    return { folder: await install(pinned, fill) };
  } catch (error) {
    if (error instanceof TookTooLong)
      return { skip: `all packages together took longer than ${INSTALL_MS / 60_000} minutes` };
    throw error;
  }
}
