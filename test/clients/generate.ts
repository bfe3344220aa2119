import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cp, mkdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { HERE as GENERATORS, installPython } from '../generators/tools.ts';
import { install, type Pinned, run } from '../helpers/packages.ts';
import { clientDocument } from './document.ts';

const CLIENTS = join(import.meta.dirname, '..', '..', 'clients');

/** The part of the Go client that is generated, and is committed: Go installs modules from the repository. */
export const GO_FILE = join(CLIENTS, 'go', 'api', 'client.gen.go');

export const PINNED_TYPESCRIPT: Pinned = {
  source: join(CLIENTS, 'typescript'),
  files: ['package.json', 'package-lock.json'],
};

/** Runs work in a folder where the document is, which goes after it. */
async function withDocument<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'posthorn-clients-'));
  try {
    writeFileSync(join(folder, 'openapi.json'), JSON.stringify(await clientDocument()));
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Returns the generated part of the Go client: oapi-codegen's types and functions. */
export function generateGo(): Promise<string> {
  return withDocument(async (folder) => {
    await cp(join(GENERATORS, 'go'), folder, { recursive: true });
    const tool = 'github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen';
    // Not optimized, which takes half the time.
    const flags = ['-trimpath', '-buildvcs=false', '-gcflags=all=-N -l', '-ldflags=-s -w'];
    await run(['go', 'build', ...flags, '-o', 'tool', tool], folder, { CGO_ENABLED: '0' });
    const made = ['-generate', 'types,client', '-package', 'api', '-o', 'client.gen.go'];
    await run([join(folder, 'tool'), ...made, 'openapi.json'], folder);
    return await readFile(join(folder, 'client.gen.go'), 'utf8');
  });
}

/** Writes the generated part of the Python client into a folder: the package that openapi-python-client makes. */
export function generatePython(to: string): Promise<void> {
  return withDocument(async (folder) => {
    writeFileSync(join(folder, 'config.yml'), 'post_hooks: []\n');
    const env = { PYTHONPATH: await installPython(), PYTHONDONTWRITEBYTECODE: '1' };
    const made = ['generate', '--path', 'openapi.json', '--config', 'config.yml'];
    const options = ['--meta', 'none', '--overwrite', '--fail-on-warning', '--output-path', to];
    await run(['python3', '-s', '-m', 'openapi_python_client', ...made, ...options], folder, env);
  });
}

/** Writes the generated part of the TypeScript client to a file: the types that openapi-typescript makes. */
export function generateTypeScript(to: string): Promise<void> {
  return withDocument(async (folder) => {
    const modules = join(await installTypeScript(), 'node_modules');
    await mkdir(dirname(to), { recursive: true });
    const generator = join(modules, 'openapi-typescript', 'bin', 'cli.js');
    await run([process.execPath, generator, 'openapi.json', '-o', to], folder);
  });
}

/** Installs what the TypeScript client needs, if it is not there yet, and returns its folder. */
export function installTypeScript(): Promise<string> {
  return install(PINNED_TYPESCRIPT, async (folder) => {
    await run(['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund'], folder);
  });
}
