// Clients that known generators make from the document: each is compiled, and works against the service.
import { cpSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t, { type Test } from 'tap';
import type { Done, Surroundings } from '../generators/surroundings.ts';
import {
  HERE,
  installNpm,
  installPython,
  whyNoGo,
  whyNoNpm,
  whyNoPython,
} from '../generators/tools.ts';
import { readDocument } from '../helpers/openapi.ts';
import { complaintOf, run } from '../helpers/packages.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { findCompiler } from '../helpers/typescript.ts';

const KEY = 'an admin key of some length';

interface Generator {
  readonly name: string;
  /** Why it cannot run on this machine, or false. */
  readonly skip: string | false;
  /** Makes a client in the folder, where the document is, compiles it, and runs the program for it. */
  work(folder: string, surroundings: Surroundings): Promise<Done>;
}

const noGo = await whyNoGo();
const noPython = await whyNoPython();
const noJava = await complaintOf(['java', '-version']);

const GENERATORS: Generator[] = [
  {
    name: 'ogen',
    skip: noGo,
    async work(folder, surroundings) {
      cpSync(join(HERE, 'go'), folder, { recursive: true });
      const made = ['--config', 'ogen.yml', '--target', 'ogen/client', '--package', 'client'];
      await buildGo(folder, 'tool', 'github.com/ogen-go/ogen/cmd/ogen');
      await run([join(folder, 'tool'), ...made, 'openapi.json'], folder);
      return await runGo(folder, 'ogen', surroundings);
    },
  },
  {
    name: 'oapi-codegen',
    skip: noGo,
    async work(folder, surroundings) {
      cpSync(join(HERE, 'go'), folder, { recursive: true });
      await mkdir(join(folder, 'oapi-codegen', 'client'));
      const made = ['-generate', 'types,client', '-package', 'client'];
      const to = ['-o', 'oapi-codegen/client/client.go'];
      await buildGo(folder, 'tool', 'github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen');
      await run([join(folder, 'tool'), ...made, ...to, 'openapi.json'], folder);
      return await runGo(folder, 'oapi-codegen', surroundings);
    },
  },
  {
    name: 'openapi-generator',
    skip: noPython || (noJava && `java is not here: ${noJava}`),
    async work(folder, surroundings) {
      const jar = join(await installPython(), 'openapi_generator_cli', 'openapi-generator.jar');
      const made = ['-g', 'typescript-fetch', '--additional-properties=importFileExtension=.js'];
      await run(
        [
          'java',
          // It runs for seconds: to optimize it takes longer than it saves.
          '-XX:TieredStopAtLevel=1',
          '-XX:+UseSerialGC',
          '-jar',
          jar,
          'generate',
          '-i',
          'openapi.json',
          '-o',
          'openapi-generator/client',
          ...made,
        ],
        folder,
      );
      return await runTypeScript(folder, 'openapi-generator', surroundings);
    },
  },
  {
    name: 'openapi-python-client',
    skip: noPython,
    async work(folder, surroundings) {
      const env = { PYTHONPATH: await installPython(), PYTHONDONTWRITEBYTECODE: '1' };
      writeFileSync(join(folder, 'config.yml'), 'post_hooks: []\n');
      const made = ['generate', '--path', 'openapi.json', '--config', 'config.yml'];
      const to = ['--meta', 'none', '--output-path', 'posthorn_client'];
      await run(['python3', '-s', '-m', 'openapi_python_client', ...made, ...to], folder, env);
      cpSync(join(HERE, 'python', 'program.py'), join(folder, 'program.py'));
      const { apiUrl, key, receiverUrl } = surroundings;
      const given = { API_URL: apiUrl, API_KEY: key, RECEIVER_URL: receiverUrl };
      return JSON.parse(await run(['python3', '-s', 'program.py'], folder, { ...env, ...given }));
    },
  },
  {
    name: 'openapi-typescript',
    skip: await whyNoNpm(),
    async work(folder, surroundings) {
      symlinkSync(join(await installNpm(), 'node_modules'), join(folder, 'node_modules'));
      const generator = join(folder, 'node_modules', 'openapi-typescript', 'bin', 'cli.js');
      await run(
        [process.execPath, generator, 'openapi.json', '-o', 'openapi-typescript/client.d.ts'],
        folder,
      );
      return await runTypeScript(folder, 'openapi-typescript', surroundings);
    },
  },
];

/** Compiles a program for a client in Go, and runs it. */
async function runGo(
  folder: string,
  name: string,
  { apiUrl, key, receiverUrl }: Surroundings,
): Promise<Done> {
  await buildGo(folder, 'program', `./${name}`);
  const given = { API_URL: apiUrl, API_KEY: key, RECEIVER_URL: receiverUrl };
  return JSON.parse(await run([join(folder, 'program')], folder, given));
}

/**
 * Compiles a program in Go. It is not optimized, nor are its packages, and needs no C: with nothing in the
 * compiler's cache, all of ogen takes 48 s of a core, not 66 s. (`go tool` would optimize.)
 */
async function buildGo(folder: string, program: string, from: string): Promise<void> {
  // With -trimpath, the cache also finds what was compiled in the folder of an earlier run.
  const flags = ['-trimpath', '-buildvcs=false', '-gcflags=all=-N -l', '-ldflags=-s -w'];
  await run(['go', 'build', ...flags, '-o', program, from], folder, { CGO_ENABLED: '0' });
}

/** Compiles a program for a client in TypeScript, with strict types, and runs it. */
async function runTypeScript(
  folder: string,
  name: string,
  surroundings: Surroundings,
): Promise<Done> {
  cpSync(join(HERE, name, 'program.ts'), join(folder, name, 'program.ts'));
  cpSync(join(HERE, 'surroundings.ts'), join(folder, 'surroundings.ts'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        strict: true,
        target: 'ES2024',
        lib: ['ES2024', 'DOM', 'DOM.Iterable'],
        module: 'NodeNext',
        types: [],
        rewriteRelativeImportExtensions: true,
        rootDir: '.',
        outDir: 'made',
      },
      include: ['.'],
    }),
  );
  await run([await findCompiler(), '--project', '.'], folder);
  const { day } = await import(pathToFileURL(join(folder, 'made', name, 'program.js')).href);
  return await day(surroundings);
}

async function folderOf(t: Test): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'posthorn-client-'));
  t.teardown(() => rm(folder, { recursive: true }));
  return folder;
}

for (const { name, skip, work } of GENERATORS) {
  t.test(`a client that ${name} makes from the document works`, { skip }, async (t) => {
    const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: KEY });
    const receiver = await startReceiver(t);
    const folder = await folderOf(t);
    const document = JSON.stringify(await readDocument(posthorn));
    writeFileSync(join(folder, 'openapi.json'), document);
    const receiverUrl = `${receiver.url}/orders`;
    const done = await work(folder, { apiUrl: posthorn.url, key: KEY, receiverUrl });
    t.equal(done.refused, 'body.url', 'it reads problems');
    t.strictSame(done.listed, [receiverUrl], 'it reads pages');
    const arrived = (await receiver.waitFor(2)).map(({ headers, body }) => [
      headers['webhook-id'],
      JSON.parse(body.toString()).data?.id ?? JSON.parse(body.toString()).id,
    ]);
    const expected = [
      [done.sent, 7],
      [done.ingested, 8],
    ];
    t.strictSame(arrived.sort(byNumber), expected, 'what it sends is delivered');
  });
}

const byNumber = ([, one]: unknown[], [, other]: unknown[]) => Number(one) - Number(other);
