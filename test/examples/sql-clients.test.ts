// Runs the programs of examples/sql, each with its own client of Postgres.
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import t, { type Test } from 'tap';
import { connect } from '../helpers/database.ts';
import { run } from '../helpers/packages.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { createRole } from '../helpers/sender.ts';
import { startTestService } from '../helpers/service.ts';
import { startTcpForwarder } from '../helpers/tcp-forwarder.ts';
import { findCompiler } from '../helpers/typescript.ts';
import { until } from '../helpers/until.ts';
import { inTypeScript, languageOf, prepare } from './languages.ts';

const EXAMPLES = join(import.meta.dirname, '..', '..', 'examples', 'sql');
const RUN_MS = 180_000;
const PRINTED =
  /^order (\d+): webhook ([\da-f-]{36})\norder (\d+): webhook ([\da-f-]{36})\nrolled back: payment declined\n$/;

const names = readdirSync(EXAMPLES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

interface Sent {
  readonly id: unknown;
  readonly type: string;
  readonly data: { readonly id: number; readonly customer: string; readonly total: number };
}

t.test('an application sends in its own transaction', async (t) => {
  const posthorn = await startTestService(t);
  const receiver = await startReceiver(t);
  const { status } = await posthorn.request('POST', '/v1/subscriptions', { url: receiver.url });
  t.equal(status, 201);
  const client = await connect(t, posthorn.databaseUrl);
  const url = await createApplication(t, client, posthorn.databaseUrl);
  const expected: Sent[] = [];

  for (const name of names) {
    await t.test(`with ${name}, a commit sends one webhook and a rollback none`, async (t) => {
      const source = join(EXAMPLES, name);
      const ready = await prepare(source);
      if ('skip' in ready) return void t.pass(name, { skip: ready.skip });
      const scratch = createFolder(t);
      const program = languageOf(source).program(source, ready.folder, scratch);
      const { command, env = {}, databaseUrl = String } = program;
      const given = { ...env, DATABASE_URL: databaseUrl(url) };
      const printed = await run(command, scratch, given, RUN_MS);

      t.match(printed, PRINTED);
      const [, kept, sent, lost, unsent] = PRINTED.exec(printed) ?? [];
      const stored = await client.query('select * from orders where id in ($1, $2)', [kept, lost]);
      const order = { id: Number(kept), customer: 'Zoë', total: 1250 };
      t.strictSame(stored.rows, [order]);
      expected.push({ id: sent, type: 'order.created', data: order });
      t.equal((await posthorn.request('GET', `/v1/webhooks/${sent}`)).status, 200);
      t.equal((await posthorn.request('GET', `/v1/webhooks/${unsent}`)).status, 404);
    });
  }

  await until('all have arrived', async () => {
    const { json } = await posthorn.request('GET', '/v1/stats');
    const isIdle = json.queue_depth === 0 && json.retrying === 0;
    return isIdle && receiver.received.length >= expected.length;
  });
  const received = receiver.received.map(({ headers, body }): Sent => {
    const { type, data } = JSON.parse(body.toString());
    return { id: headers['webhook-id'], type, data };
  });
  t.strictSame(received.sort(byOrder), expected.sort(byOrder), 'nothing else was sent');
});

t.test('the programs in TypeScript compile with strict types', async (t) => {
  const folder = createFolder(t);
  const files: string[] = [];
  for (const name of names) {
    const source = join(EXAMPLES, name);
    if (languageOf(source) !== inTypeScript) continue;
    const ready = await prepare(source);
    if ('skip' in ready) {
      t.pass(name, { skip: ready.skip });
      continue;
    }
    await mkdir(join(folder, name));
    inTypeScript.program(source, ready.folder, join(folder, name));
    files.push(join(name, 'main.ts'));
  }
  if (files.length === 0) return;
  const compilerOptions = {
    strict: true,
    noUncheckedIndexedAccess: true,
    target: 'ES2024',
    module: 'NodeNext',
    types: ['node'],
    typeRoots: [join(import.meta.dirname, '..', '..', 'node_modules', '@types')],
    noEmit: true,
    allowImportingTsExtensions: true,
    erasableSyntaxOnly: true,
    skipLibCheck: true,
  };
  const config = { compilerOptions, files };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  await t.resolves(run([await findCompiler(), '--project', '.'], folder, {}, RUN_MS));
});

/** Returns the URL of the database for a role that may write orders and send webhooks, and no more. */
async function createApplication(t: Test, client: pg.Client, databaseUrl: string): Promise<URL> {
  // The user of the tests has the name of our schema, which would come first.
  await client.query('set search_path = public');
  await client.query(readFileSync(join(EXAMPLES, 'orders.sql'), 'utf8'));
  const role = await createRole(t, client, "login password 'x'");
  await client.query(`grant select, insert on orders to ${role}`);
  await client.query('select posthorn.allow_sender($1)', [role]);
  // Some clients know no sockets in the file system.
  const url = new URL((await startTcpForwarder(t, databaseUrl)).url);
  url.username = role;
  url.password = 'x';
  return url;
}

function createFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'posthorn-example-'));
  t.teardown(() => rm(folder, { recursive: true }));
  return folder;
}

const byOrder = (one: Sent, other: Sent) => one.data.id - other.data.id;
