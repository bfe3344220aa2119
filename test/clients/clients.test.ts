// The clients of clients/: each is generated, compiled, and does the same day's work against a running Posthorn, through
// a proxy that loses an answer and refuses requests.
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { installPython, whyNoGo, whyNoPython } from '../generators/tools.ts';
import { complaintOf, installedFolder, run, whyNot } from '../helpers/packages.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { go, npm } from '../helpers/toolchains.ts';
import {
  GO_FILE,
  generateGo,
  generatePython,
  generateTypeScript,
  installTypeScript,
  PINNED_TYPESCRIPT,
} from './generate.ts';

const KEY = 'an admin key of some length';
const HERE = import.meta.dirname;
const CLIENTS = join(HERE, '..', '..', 'clients');

/** What each program reports. */
interface Done {
  readonly refused: { readonly status: number; readonly field: string };
  readonly sent: readonly string[];
  readonly listed: readonly string[];
  readonly verified: string;
  readonly forged: string;
}

type Env = Record<'API_URL' | 'API_KEY' | 'RECEIVER_URL', string>;

interface Language {
  readonly name: string;
  /** Why it cannot run on this machine, or false. */
  readonly skip: string | false;
  /** Builds client and program in an empty folder, runs the program, and returns what it printed. */
  work(folder: string, env: Env): Promise<string>;
}

/** Go needs the modules of the client besides those of its generator. */
const noGo =
  (await whyNoGo()) ||
  (await whyNot(
    go,
    async () =>
      (await complaintOf(['go', 'mod', 'download'], join(CLIENTS, 'go'), { GOPROXY: 'off' })) ===
      false,
  ));

const LANGUAGES: readonly Language[] = [
  {
    name: 'TypeScript',
    skip: await whyNot(npm, () => existsSync(installedFolder(PINNED_TYPESCRIPT))),
    async work(folder, env) {
      const client = join(folder, 'client');
      cpSync(join(CLIENTS, 'typescript'), client, { recursive: true });
      symlinkSync(join(await installTypeScript(), 'node_modules'), join(client, 'node_modules'));
      await generateTypeScript(join(client, 'src', 'api.d.ts'));
      const bin = join(client, 'node_modules', '.bin');
      const path = `${bin}:${process.env.PATH}`;
      await run(['npm', 'run', '--silent', 'build'], client, { PATH: path });
      const scope = join(folder, 'node_modules', '@posthorn');
      mkdirSync(scope, { recursive: true });
      symlinkSync(client, join(scope, 'client'));
      cpSync(join(HERE, 'typescript', 'program.ts'), join(folder, 'program.ts'));
      writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
      const types = join(HERE, '..', '..', 'node_modules', '@types');
      const flags = ['--strict', '--module', 'nodenext', '--target', 'es2024', '--outDir', 'made'];
      const node = ['--lib', 'es2024,dom,dom.iterable', '--typeRoots', types, '--types', 'node'];
      await run([join(bin, 'tsc'), ...flags, ...node, 'program.ts'], folder);
      return await run([process.execPath, 'made/program.js'], folder, env);
    },
  },
  {
    name: 'Python',
    skip: await whyNoPython(),
    async work(folder, env) {
      cpSync(join(CLIENTS, 'python', 'src', 'posthorn'), join(folder, 'posthorn'), {
        recursive: true,
        filter: (path) => !path.endsWith('__pycache__'),
      });
      await generatePython(join(folder, 'posthorn', 'api'));
      cpSync(join(HERE, 'python', 'program.py'), join(folder, 'program.py'));
      const python = { PYTHONPATH: await installPython(), PYTHONDONTWRITEBYTECODE: '1' };
      return await run(['python3', '-s', 'program.py'], folder, { ...python, ...env });
    },
  },
  {
    name: 'Go',
    skip: noGo,
    async work(folder, env) {
      cpSync(join(CLIENTS, 'go'), folder, { recursive: true });
      cpSync(join(HERE, 'go'), join(folder, 'program'), { recursive: true });
      // Not optimized, which takes half the time.
      const flags = ['-trimpath', '-buildvcs=false', '-gcflags=all=-N -l', '-ldflags=-s -w'];
      await run(['go', 'build', ...flags, '-o', 'day', './program'], folder, { CGO_ENABLED: '0' });
      return await run([join(folder, 'day')], folder, env);
    },
  },
];

t.test(
  'the generated part of the Go client is that of the document: npm run clients go',
  { skip: noGo },
  async (t) => {
    t.ok(readFileSync(GO_FILE, 'utf8') === (await generateGo()), 'it is up to date');
  },
);

t.test('each client sends once, lists all, and verifies', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: KEY });
  for (const { name, skip, work } of LANGUAGES) {
    t.test(name, { skip }, async (t) => {
      const receiver = await startKeepingReceiver(t);
      const proxy = await startFaultyProxy(t, posthorn.url);
      const folder = mkdtempSync(join(tmpdir(), 'posthorn-client-'));
      t.teardown(() => rm(folder, { recursive: true }));
      const API_KEY = await keyOfNewTenant(posthorn, name.toLowerCase());
      const env = { API_URL: proxy.url, API_KEY, RECEIVER_URL: receiver.url };
      const done = JSON.parse(await work(folder, env)) as Done;
      t.match(done, {
        refused: { status: 400, field: 'body.url' },
        verified: 'order.created',
        forged: 'refused',
      });
      t.equal(new Set(done.sent).size, 5);
      t.strictSame(done.listed.toSorted(), done.sent.toSorted(), 'three pages have each row once');
      t.strictSame(await receiver.arrived(5), [1, 2, 3, 4, 5], 'each is accepted once');
      // The first three requests fail: its answer is lost, 503, 429. Each is repeated with its key.
      const [first, second, third, fourth] = proxy.keys;
      t.equal(proxy.keys.length, 5 + 3);
      t.strictSame([second, third, fourth], [first, first, first]);
      t.equal(new Set(proxy.keys).size, 5, 'each webhook has a key of its own');
    });
  }
});

/** Makes a tenant, and returns a key of it with the scopes that a program needs. */
async function keyOfNewTenant({ request }: TestService, tenant: string): Promise<string> {
  const admin = { authorization: `Bearer ${KEY}` };
  await request('POST', '/v1/tenants', { id: tenant }, admin);
  const scopes = ['read', 'send', 'manage'];
  const { status, json, text } = await request('POST', '/v1/keys', { tenant, scopes }, admin);
  if (status !== 201) throw new Error(text);
  return json.key;
}

/** A receiver that answers a GET with the webhook that it got first, once there is one. */
async function startKeepingReceiver(t: Test) {
  const receiver = await startReceiver(t, (response, { method }) => {
    if (method !== 'GET') return response.end();
    const answer = async () => {
      await receiver.waitFor(1);
      const [webhook] = webhooks();
      const { headers, body } = webhook ?? {};
      response.end(JSON.stringify({ headers, body: String(body) }));
    };
    void answer();
  });
  const webhooks = () => receiver.received.filter(({ method }) => method === 'POST');
  return {
    url: receiver.url,
    async arrived(count: number): Promise<number[]> {
      // With the GET.
      await receiver.waitFor(count + 1);
      return webhooks()
        .map(({ body }) => JSON.parse(String(body)).data.id as number)
        .toSorted((one, other) => one - other);
    },
  };
}

/** Passes requests on. The first webhook's answer is lost; the next two requests to send, and the first read, are refused. */
async function startFaultyProxy(t: Test, target: string) {
  const keys: string[] = [];
  let reads = 0;
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const { method = '', url = '', headers } = request;
    const isSend = method === 'POST' && url.startsWith('/v1/webhooks');
    const nth = isSend ? keys.push(String(headers['idempotency-key'])) : 0;
    const isFirstRead = method === 'GET' && ++reads === 1;
    if (nth === 2 || nth === 3 || isFirstRead) {
      response.writeHead(nth === 3 ? 429 : 503, { 'retry-after': '0' });
      response.end('busy');
      return;
    }
    const { authorization = '', 'content-type': type = '', 'idempotency-key': key } = headers;
    const answer = await fetch(target + url, {
      method,
      headers: {
        authorization,
        ...(type === '' ? {} : { 'content-type': type }),
        ...(key === undefined ? {} : { 'idempotency-key': String(key) }),
      },
      ...(chunks.length === 0 ? {} : { body: new Uint8Array(Buffer.concat(chunks)) }),
    });
    const text = await answer.text();
    if (nth === 1) return request.socket.destroy();
    const contentType = answer.headers.get('content-type') ?? '';
    response.writeHead(answer.status, { 'content-type': contentType }).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, keys };
}
