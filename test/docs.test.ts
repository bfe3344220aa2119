import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import t, { type Test } from 'tap';
import { SETTINGS } from '../src/config/known-settings.ts';
import { connect, createTestDatabase } from './helpers/database.ts';
import { startReceiver } from './helpers/receiver.ts';
import { createRole } from './helpers/sender.ts';
import { startTestService } from './helpers/service.ts';
import { until } from './helpers/until.ts';

const read = (path: string) => readFile(join(import.meta.dirname, '..', path), 'utf8');

const SQL_BLOCK = /```sql\n([\s\S]*?)```/g;

t.test("the README's table of settings equals the settings of the program", async (t) => {
  const rows = (await read('README.md'))
    .split('\n')
    .map((line) => /^\| `([A-Z_]+)` \| (.*?) \| (.*) \|$/.exec(line))
    .filter((row) => row !== null)
    .map(([, name = '', fallback = '', meaning = '']) => [name, fallback, meaning]);
  t.strictSame(
    rows,
    Object.entries(SETTINGS).map(([name, { fallback, meaning }]) => [
      name,
      fallback ? `\`${fallback}\`` : '—',
      meaning,
    ]),
  );
});

t.test(
  'the SQL of the README and of each question of docs/reporting.md runs, one statement each',
  async (t) => {
    const receiver = await startReceiver(t, (response, _request, nth) => {
      response.statusCode = nth % 3 === 0 ? 500 : 200;
      response.end('answer');
    });
    const posthorn = await startTestService(t);
    const id = await posthorn.subscribe(receiver.url);
    for (let n = 0; n < 12; n++) await posthorn.ingest(id, { n });
    await until('all have ended', async () => {
      const { json } = await posthorn.request('GET', '/v1/stats');
      return json.queue_depth === 0 && json.retrying === 0 && json.accepted === 12;
    });
    const client = await connect(t, posthorn.databaseUrl);
    for (const [, statement = ''] of (await read('README.md')).matchAll(SQL_BLOCK))
      await t.resolves(client.query(statement), "the README's");
    const page = await read('docs/reporting.md');
    await becomeReporting(t, client, page);
    const sections = page.split(/^## /m).slice(1);
    const questions = sections.filter((section) => section.includes('```sql'));
    t.ok(questions.length >= 10, `${questions.length} questions`);
    for (const section of questions) {
      const [title = ''] = section.split('\n');
      const blocks = [...section.matchAll(SQL_BLOCK)];
      t.equal(blocks.length, 1, `one statement answers: ${title}`);
      await t.resolves(client.query(blocks[0]?.[1] as string), title);
    }
    await t.rejects(client.query('select secret from posthorn.subscriptions'), /denied/);
  },
);

/** Makes the role that docs/reporting.md gives to people who report, and goes on as it. */
async function becomeReporting(t: Test, client: pg.Client, page: string): Promise<void> {
  // Before the first question; the examples at the end give less.
  const grants =
    page
      .split('## ')[0]
      ?.match(/^ {4}.*$/gm)
      ?.join('\n') ?? '';
  // Roles are the whole server's.
  const role = `reporting_${randomBytes(6).toString('hex')}`;
  await client.query(grants.replaceAll(/\breporting\b/g, role));
  t.teardown(() => client.query(`reset role; drop owned by ${role}; drop role ${role}`));
  await client.query(`set role ${role}`);
}

t.test('the program in docs/signing.md verifies signatures of key pairs', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const { json } = await posthorn.request('POST', '/v1/subscriptions', {
    url: receiver.url,
    signature_scheme: 'ed25519',
  });
  await posthorn.request('POST', '/v1/webhooks', { event_type: 'a.b', data: {} });
  const [request] = await receiver.waitFor(1);
  const path = `/v1/subscriptions/${json.id}/public-key`;
  const { public_key: publicKey } = (await posthorn.request('GET', path)).json;
  const [, program = ''] = /```js\n([\s\S]*?)```/.exec(await read('docs/signing.md')) ?? [];
  const module = `data:text/javascript,${encodeURIComponent(`${program}\nexport { isGenuine };`)}`;
  const { isGenuine } = await import(module);
  t.equal(isGenuine(request?.headers, request?.body, publicKey), true);
  t.equal(isGenuine(request?.headers, Buffer.from('{}'), publicKey), false);
});

t.test('the examples of docs/sending-from-sql.md work, in their order', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const { status } = await posthorn.request('POST', '/v1/subscriptions', { url: receiver.url });
  t.equal(status, 201);
  const { databaseUrl } = posthorn;
  const client = await connect(t, databaseUrl);
  const page = await read('docs/sending-from-sql.md');
  const role = await createRole(t, client);
  for (const [, block = ''] of page.matchAll(SQL_BLOCK))
    await client.query(block.replaceAll('my_app', role));

  const [, script = ''] = /```sh\n([\s\S]*?)```/.exec(page) ?? [];
  const shell = spawnSync('sh', ['-c', script], {
    env: { ...process.env, DATABASE_URL: databaseUrl },
  });
  const hasPsql = shell.status !== 127;
  // A machine without psql has not shown that it works, nor that it does not.
  if (hasPsql) t.equal(shell.status, 0, shell.stderr.toString());

  const types = [
    ...Array(hasPsql ? 5 : 4).fill('order.created'),
    ...Array(hasPsql ? 2 : 1).fill('order.insert'),
    'order.paid',
    'order.update',
  ];
  const requests = await receiver.waitFor(types.length);
  t.strictSame(requests.map(({ body }) => JSON.parse(body.toString()).type).sort(), types.sort());
});

t.test('the examples of docs/managing-from-sql.md work, in their order', async (t) => {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  const role = await createRole(t, client);
  const blocks = [...(await read('docs/managing-from-sql.md')).matchAll(SQL_BLOCK)];
  t.ok(blocks.length >= 8, `${blocks.length} blocks`);
  for (const [, block = ''] of blocks) await client.query(block.replaceAll('my_app', role));
  const { json } = await posthorn.request('GET', '/v1/subscriptions');
  t.match(json.data, [
    {
      url: 'https://example.com/webhooks',
      event_types: ['order.*'],
      has_secret: true,
      status: 'active',
    },
    {
      filter: '($."total" > 100)',
      timeout: '10s',
      rate_limit: { limit: 50, per: '1s' },
      ordering: 'strict',
    },
  ]);
  const tasks = await posthorn.request('GET', '/v1/tasks');
  t.match(tasks.json.data, [{ kind: 'replay', subscription_id: 1, states: ['failed'] }]);
});

t.test(
  'the trigger of docs/sending-from-sql.md stops no change of a user who may only write orders',
  async (t) => {
    const databaseUrl = await createTestDatabase(t);
    const client = await connect(t, databaseUrl);
    const page = await read('docs/sending-from-sql.md');
    const [, section = ''] = page.split('## From a trigger\n');
    const [, block = ''] = /```sql\n([\s\S]*?)```/.exec(section) ?? [];
    // The user of the tests has the name of our schema, which would come first.
    await client.query('set search_path = public');
    await client.query(block);
    await client.query('alter table orders add column note json');
    // Roles are the whole server's.
    const role = `clerk_${randomBytes(6).toString('hex')}`;
    await client.query(
      `create role ${role}; grant select, insert, update, delete on orders to ${role}`,
    );
    t.teardown(() => client.query(`reset role; drop owned by ${role}; drop role ${role}`));
    await client.query('delete from posthorn.webhook_payloads');
    await client.query(`set role ${role}`);
    await client.query(`insert into orders values (8, 1, '{"a": 1}')`);
    const refused = [
      String.raw`{"a": "\u0000"}`,
      String.raw`"\ud800"`,
      '1e131073',
      JSON.stringify('x'.repeat(2 ** 20)),
    ];
    for (const note of refused)
      await client.query('update orders set note = $1::text::json where id = 8', [note]);
    await client.query('delete from orders where id = 8');
    await t.rejects(client.query('select posthorn.send($1, $2)', ['a.b', '1']), { code: '42501' });
    await t.rejects(client.query('select orders_send()'), { code: '42501' });
    await client.query('reset role');

    const { rows } = await client.query<{ data: unknown }>(
      `select event_type as type, convert_from(body, 'UTF8')::jsonb -> 'data' as data
     from posthorn.webhook_payloads order by id`,
    );
    t.strictSame(rows, [
      { type: 'order.insert', data: { id: 8, total: 1, note: { a: 1 } } },
      ...refused.map(() => ({ type: 'order.update', data: { id: 8 } })),
      { type: 'order.delete', data: { id: 8 } },
    ]);

    await client.query('update posthorn.tenants set strict_event_types = true');
    await t.rejects(
      client.query('insert into orders values (9, 1)'),
      { code: '22023' },
      'other errors end it',
    );
  },
);

t.test('the examples of docs/watching-tables.md work, in their order', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  await posthorn.request('POST', '/v1/subscriptions', { url: receiver.url });
  const client = await connect(t, posthorn.databaseUrl);
  for (const [, block = ''] of (await read('docs/watching-tables.md')).matchAll(SQL_BLOCK))
    await client.query(block);
  const data = (await receiver.waitFor(3)).map(({ body }) => JSON.parse(body.toString()));
  const row = { id: 7, customer: 'ann', total: 12.5 };
  t.strictSame(data.map(({ type, data }) => [type, data]).sort(), [
    ['orders.deleted', { old: { ...row, total: 13 } }],
    ['orders.inserted', { new: row }],
    ['orders.updated', { new: { ...row, total: 13 }, old: row, changed: ['total'] }],
  ]);
});

t.test(
  'every client of docs/sending-from-sql.md gives Postgres text and sends an object',
  async (t) => {
    const client = await connect(t, await createTestDatabase(t));
    const statements = (await rowsOfClients()).map(({ statement }) => statement);
    for (const statement of new Set(statements)) {
      // psql writes the data into the statement.
      if (statement.includes(":'new_order'")) continue;
      const text = statement.replace(/\$1|\$\{data\}|%s|:data|\?/, '$1');
      await client.query(`prepare a as ${text}`);
      const { rows } = await client.query<{ types: string }>(
        `select parameter_types::text as types from pg_prepared_statements where name = 'a'`,
      );
      t.equal(rows[0]?.types, '{text}', statement);
      await client.query('deallocate a');
      await client.query(text, [JSON.stringify({ id: 7 })]);
    }
    const { rows } = await client.query(
      `select distinct convert_from(body, 'UTF8')::jsonb ->> 'data' as data from posthorn.webhook_payloads`,
    );
    t.strictSame(rows, [{ data: '{"id": 7}' }]);
  },
);

t.test('docs/sending-from-sql.md shows what the programs of examples/sql do', async (t) => {
  const linked: string[] = [];
  for (const { client, statement } of await rowsOfClients()) {
    const [, path] = /\(\.\.\/(examples\/sql\/[^)]+)\)/.exec(client) ?? [];
    if (path === undefined) continue;
    linked.push(path.split('/')[2] as string);
    const shown = statement.replace('{data}', '{JSON.stringify(order)}');
    t.ok((await read(path)).includes(shown), `${path} has: ${shown}`);
  }
  const folders = await readdir(join(import.meta.dirname, '..', 'examples', 'sql'), {
    withFileTypes: true,
  });
  const examples = folders.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  t.strictSame(linked.sort(), examples.sort(), 'the table names each program');

  const section = (await read('docs/sending-from-sql.md')).split(/^## /m).find(isAboutApplications);
  const EXCERPT = /\(\.\.\/(examples\/sql\/[^)]+)\)[^\n]*:\n\n```\w+\n([\s\S]*?)```/g;
  const excerpts = [...(section ?? '').matchAll(EXCERPT)];
  t.equal(excerpts.length, (section?.match(/^```\w+$/gm)?.length ?? 0) - 1, 'all but that of psql');
  const withoutIndent = (text: string) => text.replaceAll(/^[ \t]+/gm, '');
  for (const [, path = '', excerpt = ''] of excerpts)
    t.ok(withoutIndent(await read(path)).includes(withoutIndent(excerpt)), `an excerpt of ${path}`);
});

const isAboutApplications = (section: string) => section.startsWith('From an application\n');

/** The rows of the tables of docs/sending-from-sql.md that give a client's statement. */
async function rowsOfClients(): Promise<{ client: string; statement: string }[]> {
  const rows = (await read('docs/sending-from-sql.md')).matchAll(
    /^\| (.+?) \| `(select posthorn\.send[^`]+)` \|/gm,
  );
  return [...rows].map(([, client = '', statement = '']) => ({ client, statement }));
}

t.test('the tables of docs/filters.md are right', async (t) => {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  const page = await read('docs/filters.md');
  const cells = (line: string) =>
    line
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) =>
        cell
          .trim()
          .replace(/^`(.*)`$/, '$1')
          .replaceAll('\\|', '|'),
      );
  const rows = page
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map(cells);
  const examples = rows.filter((row) => row.length === 3) as [string, string, string][];
  const refused = rows.filter((row) => row.length === 2) as [string, string][];
  t.ok(examples.length >= 30 && refused.length >= 12, `${examples.length}, ${refused.length}`);

  const ids = new Map<string, number>();
  for (const [filter] of examples) {
    if (ids.has(filter)) continue;
    const { status, json, text } = await posthorn.request('POST', '/v1/subscriptions', {
      url: 'http://127.0.0.1:9/',
      filter,
    });
    t.equal(status, 201, text);
    ids.set(filter, json.id);
  }
  for (const [filter, data, matches] of examples) {
    const name = `${filter} of ${data}`;
    for (const raw of [false, true]) {
      const sent = `{"event_type":"a","raw":${raw},"data":${data}}`;
      const { json } = await posthorn.request('POST', '/v1/webhooks', sent);
      const { rows } = await client.query(
        'select from posthorn.deliveries where webhook_id = $1 and subscription_id = $2',
        [json.webhook_id, ids.get(filter)],
      );
      t.equal(rows.length, matches === 'yes' ? 1 : 0, `${name}, raw: ${raw}`);
    }
    const { json } = await posthorn.request('POST', '/v1/filters/test', { filter });
    t.strictSame(
      json.webhooks.slice(0, 2).map(({ matches }: { matches: boolean }) => matches),
      [matches === 'yes', matches === 'yes'],
      `${name}, tried`,
    );
  }
  for (const [filter, because] of refused) {
    for (const [path, body] of [
      ['/v1/subscriptions', { url: 'https://example.com/', filter }],
      ['/v1/filters/test', { filter }],
    ] as const) {
      const { status, json } = await posthorn.request('POST', path, body);
      t.equal(status, 400, filter);
      t.match(json.errors?.[0], { field: 'body.filter' }, filter);
      t.ok(json.errors?.[0].message.includes(because), `${filter}: ${json.errors?.[0].message}`);
    }
    await t.rejects(
      client.query(`insert into posthorn.subscriptions (url, filter) values ('http://x/', $1)`, [
        filter,
      ]),
      { code: /^(22023|42601)$/ },
      `${filter}, in SQL`,
    );
  }
});

t.test('each row of a table has as many cells as its head', async (t) => {
  const pages = spawnSync('git', ['ls-files', '*.md'], { encoding: 'utf8' }).stdout.split('\n');
  t.ok(pages.length > 20);
  for (const page of pages.filter(Boolean)) {
    let cells = 0;
    for (const [index, line] of (await read(page)).split('\n').entries()) {
      if (!line.startsWith('|')) cells = 0;
      else {
        const count = cellsOf(line);
        cells ||= count;
        if (count !== cells) t.fail(`${page}:${index + 1}: ${count} cells, not ${cells}`);
      }
    }
  }
});

/** GitHub Flavored Markdown, "Tables": a pipe inside code ends a cell too, unless it is escaped. */
const cellsOf = (row: string) => row.replaceAll('\\|', '').split('|').length - 2;
