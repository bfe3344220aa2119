import { extname } from 'node:path';

/** `imports` in package.json names itself, so this does not depend on the depth of this file in src/ or dist/. */
const MANIFEST = import.meta.resolve('#package.json');

/**
 * Returns the URL of a file or folder that the package ships beside its code.
 *
 * @param path below the package's folder; a folder ends with a slash: `migrations/`.
 */
export function packageFile(path: string): URL {
  return new URL(path, MANIFEST);
}

/**
 * Returns the URL of a module in the same folder, to start a thread with: TypeScript in a checkout, JavaScript
 * in the installed package.
 *
 * @param moduleUrl the `import.meta.url` of the module that asks.
 * @param name the file's name without its ending.
 */
export function moduleBeside(moduleUrl: string, name: string): URL {
  return new URL(`./${name}${extname(moduleUrl)}`, moduleUrl);
}
