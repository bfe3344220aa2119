// Finds the tools of each generator's language, and tells whether its registry can be reached.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  complaintOf,
  install,
  installedFolder,
  type Pinned,
  run,
  whyNot,
} from '../helpers/packages.ts';
import { go, npm, python, pythonTag } from '../helpers/toolchains.ts';

export const HERE = import.meta.dirname;

const GO_MODULE = join(HERE, 'go');

/** Returns why the generators in Go cannot run here, or false. */
export const whyNoGo = () =>
  whyNot(
    go,
    async () =>
      (await complaintOf(['go', 'mod', 'download'], GO_MODULE, { GOPROXY: 'off' })) === false,
  );

/** Returns why the generators from PyPI cannot run here, or false. */
export const whyNoPython = () =>
  whyNot(python, async () => existsSync(installedFolder(await pinnedPython())));

/** Returns why the generator from npm cannot run here, or false. */
export const whyNoNpm = () => whyNot(npm, () => existsSync(installedFolder(PINNED_NPM)));

const pinnedPython = async (): Promise<Pinned> => ({
  source: join(HERE, 'python'),
  files: ['requirements.txt'],
  variant: await pythonTag(),
});

const PINNED_NPM: Pinned = {
  source: join(HERE, 'openapi-typescript'),
  files: ['package.json', 'package-lock.json'],
};

/** Installs the Python packages, if they are not there yet, and returns their folder. */
export async function installPython(): Promise<string> {
  return await install(await pinnedPython(), async (folder) => {
    const pip = ['python3', '-m', 'pip', 'install', '--quiet', '--target', folder] as const;
    const pinned = ['--require-hashes', '--no-deps', '--only-binary', ':all:'];
    await run([...pip, ...pinned, '--requirement', 'requirements.txt'], folder);
  });
}

/** Installs the npm packages, if they are not there yet, and returns their folder. */
export function installNpm(): Promise<string> {
  return install(PINNED_NPM, async (folder) => {
    await run(['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund'], folder);
  });
}
