// Where the tests get a browser from.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import project from '../../package.json' with { type: 'json' };

const ROOT = join(import.meta.dirname, '..', '..');
const KEPT = join(ROOT, '.tap', 'browser');
const VERSION = project.devDependencies['@sparticuz/chromium'];
const UNPACKED = join(KEPT, VERSION);
/** The package has a browser for these machines only. */
const IS_PACKAGED = process.platform === 'linux' && process.arch === 'x64';

export interface Chromium {
  readonly executablePath: string;
  /** Added to the environment of the browser. */
  readonly env: Record<string, string>;
}

/** Returns why this machine has no browser, or false if it has one. */
export function whyNoChromium(): string | false {
  if (IS_PACKAGED || installed() !== undefined) return false;
  return `npm brings a browser for Linux on x64 only, and no Chrome or Chromium is installed on this ${process.platform} on ${process.arch}`;
}

/**
 * Returns the browser that `npm ci` brought, unpacked, or one that is installed where npm has none. A browser
 * from npm that does not start fails the tests, so that they are never skipped where they should run.
 */
export async function findChromium(): Promise<Chromium> {
  if (IS_PACKAGED) return await unpackOnce();
  const executablePath = installed();
  if (executablePath === undefined) throw new Error(String(whyNoChromium()));
  return { executablePath, env: {} };
}

/**
 * Unpacks the browser for all test files, which takes 2 s of CPU and 210 MB. Files that do it at the same time do
 * it each for themselves, and the first to end is used.
 */
async function unpackOnce(): Promise<Chromium> {
  if (!existsSync(UNPACKED)) {
    const unfinished = join(KEPT, `unfinished-${process.pid}`);
    await mkdir(unfinished, { recursive: true });
    try {
      await unpack(unfinished);
      await rename(unfinished, UNPACKED);
      await removeOthers();
    } catch (error) {
      if (!existsSync(UNPACKED)) throw error;
    } finally {
      await rm(unfinished, { recursive: true, force: true });
    }
  }
  return {
    executablePath: join(UNPACKED, 'chromium'),
    env: {
      LD_LIBRARY_PATH: join(UNPACKED, 'al2023', 'lib'),
      FONTCONFIG_FILE: join(UNPACKED, 'fonts.conf'),
    },
  };
}

/** The package unpacks into the folder for temporary files, and as on Lambda, with the libraries that slim images lack. */
async function unpack(folder: string): Promise<void> {
  const program = `import chromium from '@sparticuz/chromium'; await chromium.executablePath();`;
  await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: ROOT,
    env: { TMPDIR: folder, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x' },
  });
  // The fonts of the machine, and those of the package where it has none.
  await writeFile(
    join(folder, 'fonts.conf'),
    `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir prefix="relative">fonts/fonts</dir>
</fontconfig>
`,
  );
}

/** Removes the browsers of earlier versions of the package. */
async function removeOthers(): Promise<void> {
  const others = (await readdir(KEPT)).filter((name) => /^\d/.test(name) && name !== VERSION);
  for (const name of others) await rm(join(KEPT, name), { recursive: true, force: true });
}

/** A Chrome or Chromium of this machine, in the places where its installers put it. */
function installed(): string | undefined {
  const {
    PATH = '',
    PROGRAMFILES,
    'PROGRAMFILES(X86)': PROGRAMFILES_X86,
    LOCALAPPDATA,
  } = process.env;
  const programs = ['google-chrome', 'google-chrome-stable', 'chromium', 'chromium-browser'];
  const apps = ['Google Chrome', 'Chromium'].map((app) => `${app}.app/Contents/MacOS/${app}`);
  const windows = [PROGRAMFILES, PROGRAMFILES_X86, LOCALAPPDATA].filter((dir) => dir !== undefined);
  return [
    ...PATH.split(delimiter).flatMap((dir) => programs.map((program) => join(dir, program))),
    ...apps.map((app) => join('/Applications', app)),
    ...windows.map((dir) => join(dir, 'Google', 'Chrome', 'Application', 'chrome.exe')),
  ].find((path) => existsSync(path));
}
