import { cpSync, existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { install, run } from '../helpers/packages.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** What `npm pack` reads; the rest of a checkout is no part of the package. */
const READ_BY_PACK = [
  'bin',
  'migrations',
  'schema',
  'src',
  'tasks',
  'CHANGELOG.md',
  'LICENSE',
  'README.md',
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
];
const QUIET = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];

/** Packs this checkout, in a copy: packing builds into dist/, from which another test may be reading. */
export async function pack(folder: string): Promise<string> {
  const copy = join(folder, 'checkout');
  mkdirSync(copy);
  for (const path of READ_BY_PACK) cpSync(join(ROOT, path), join(copy, path), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  await run(['npm', 'pack', '--pack-destination', folder], copy);
  const [name = ''] = readdirSync(folder).filter((file) => file.endsWith('.tgz'));
  return join(folder, name);
}

/** `npm install` of the tarball in a folder. Returns the folder of the package. */
export async function installTarball(
  tarball: string,
  folder: string,
  flags: readonly string[],
): Promise<string> {
  await run(['npm', 'install', ...QUIET, ...flags, tarball], folder);
  return join(folder, 'node_modules', 'posthorn');
}

/** Installs Node 22, unless it is there, and returns the folder of its program. */
export async function installNode22(): Promise<string> {
  const pinned = { source: join(import.meta.dirname, 'node-22'), files: ['package.json'] };
  const folder = await install(pinned, async (unfinished) => {
    await run(['npm', 'install', ...QUIET], unfinished);
    // The package's script puts it there; an npm that runs no scripts says nothing.
    if (!existsSync(join(unfinished, NODE))) throw new Error('npm has installed no Node 22');
  });
  return dirname(join(folder, NODE));
}
const NODE = join('node_modules', 'node', 'bin', 'node');
