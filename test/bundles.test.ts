import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { bundles } from './helpers/bundles.ts';

const ROOT = join(import.meta.dirname, '..');

/** Returns the names that each package exports, asked in a new process with these options of Node. */
async function exportsOf(...options: string[]): Promise<Record<string, string[]>> {
  const names = JSON.stringify([...bundles().keys()]);
  const program = `const found = {};
    for (const name of ${names}) found[name] = Object.keys(await import(name)).sort();
    console.log(JSON.stringify(found));
    process.exit();`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [...options, '--input-type=module', '--eval', program],
    { cwd: ROOT },
  );
  return JSON.parse(stdout);
}

t.test('a package of a few files has all that the package has, for each importer', async (t) => {
  const [bundled, installed] = await Promise.all([
    exportsOf('--import=./test/helpers/use-bundles.ts'),
    exportsOf(),
  ]);
  t.strictSame(bundled, installed);
  t.ok(bundled.tap?.includes('t'));
  for (const [name, path] of bundles())
    t.equal(await import(name), await import(path), `tests and the service share ${name}`);
});
