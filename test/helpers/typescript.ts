import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const PACKAGE = join(import.meta.dirname, '..', '..', 'node_modules', 'typescript');

/**
 * Returns the path of TypeScript's compiler itself. Its launcher is a program for Node.js, into which tap would put
 * its loader.
 */
export async function findCompiler(): Promise<string> {
  const { default: getExePath } = await import(
    pathToFileURL(join(PACKAGE, 'lib', 'getExePath.js')).href
  );
  return getExePath();
}
