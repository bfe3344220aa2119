// Packages of very many small modules, each made into a few files for a run of the tests: finding, reading and
// linking their 1,000 modules is a third of the CPU of a test file that starts one service.
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');
const KEPT = join(ROOT, '.tap', 'bundles');
/**
 * The file of each, without its ending. ES modules only: what a CommonJS package exports by name would be lost.
 * tap leaves its own lines out of stacks by this folder's name.
 */
const PACKAGES: Readonly<Record<string, string>> = {
  kysely: 'node_modules/kysely',
  tap: 'node_modules/@tapjs/tap',
  typebox: 'node_modules/typebox',
  'typebox/schema': 'node_modules/typebox-schema',
  'typebox/value': 'node_modules/typebox-value',
};

/** For the packages that are installed now, with the plugins that tap has now. */
function folder(): string {
  const changes = [join('node_modules', '.package-lock.json'), '.taprc'].map(
    (path) => statSync(join(ROOT, path)).mtimeMs,
  );
  return join(KEPT, String(Math.max(...changes)));
}

/** The file of each package, by what an import says; empty before `buildBundles`. */
export function bundles(): ReadonlyMap<string, string> {
  const dir = folder();
  if (!existsSync(dir)) return new Map();
  return new Map(Object.entries(PACKAGES).map(([name, file]) => [name, join(dir, `${file}.mjs`)]));
}

/** Makes the files, if they are not there. Called once before the test files. */
export async function buildBundles(): Promise<void> {
  const dir = folder();
  if (existsSync(dir)) return;
  const unfinished = join(ROOT, '.tap', `unfinished-bundles-${process.pid}`);
  const { build } = await import('vite');
  await build({
    configFile: false,
    root: ROOT,
    logLevel: 'warn',
    ssr: { noExternal: true },
    build: {
      ssr: true,
      outDir: unfinished,
      minify: false,
      target: 'node22',
      rolldownOptions: {
        input: Object.fromEntries(Object.entries(PACKAGES).map(([name, file]) => [file, name])),
        preserveEntrySignatures: 'strict',
        treeshake: false,
        output: { entryFileNames: '[name].mjs', chunkFileNames: '[name]-[hash].mjs' },
      },
    },
  });
  rmSync(KEPT, { recursive: true, force: true });
  mkdirSync(KEPT);
  renameSync(unfinished, dir);
}
