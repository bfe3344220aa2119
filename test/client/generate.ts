import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { generateApi } from 'swagger-typescript-api';
import type { Test } from 'tap';
import type { OpenApi } from '../helpers/openapi.ts';

const REPOSITORY = join(import.meta.dirname, '..', '..');

/**
 * Makes a TypeScript client from the document, in a folder of its own, which goes when the test ends,
 * and puts a program beside it that imports it as `./client.ts`.
 *
 * @returns the program's path.
 */
export async function generateClient(t: Test, document: OpenApi, program: string): Promise<string> {
  const { files } = await generateApi({
    spec: document as never,
    output: false,
    silent: true,
    httpClientType: 'fetch',
    moduleNameFirstTag: true,
    generateUnionEnums: true,
    extractRequestBody: true,
    extractResponseBody: true,
    unwrapResponseData: true,
  });
  // In the repository, so that the program finds packages.
  mkdirSync(join(REPOSITORY, '.tap'), { recursive: true });
  const folder = mkdtempSync(join(REPOSITORY, '.tap', 'client-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const [file] = files;
  if (file === undefined) throw new Error('No client was made.');
  writeFileSync(join(folder, 'client.ts'), file.fileContent);
  const path = join(folder, 'program.ts');
  writeFileSync(path, readFileSync(join(import.meta.dirname, program)));
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      extends: join(REPOSITORY, 'tsconfig.json'),
      compilerOptions: {
        lib: ['ES2024', 'DOM', 'DOM.Iterable'],
        // The generator writes `query: undefined` where it means that there is none.
        exactOptionalPropertyTypes: false,
      },
      include: [folder],
    }),
  );
  return path;
}

/** Returns the errors of the compiler, with our strict options, in a program and its client. */
export async function complaintsOfTypes(program: string): Promise<string> {
  // The compiler itself: its launcher is a program of Node's, into which tap would put its loader.
  const launcher = join(REPOSITORY, 'node_modules', 'typescript', 'lib', 'getExePath.js');
  const { default: pathOfCompiler } = await import(pathToFileURL(launcher).href);
  try {
    await promisify(execFile)(pathOfCompiler(), ['--noEmit', '--project', join(program, '..')]);
    return '';
  } catch (error) {
    return (error as { stdout: string }).stdout || String(error);
  }
}
