import type pg from 'pg';
import t, { type Test } from 'tap';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { createSender } from '../helpers/sender.ts';
import { startTestService } from '../helpers/service.ts';

const DEEP = 100_000;

/** JSON, and what is not JSON but nearly. */
const TAKEN = [
  '1',
  '-0',
  '1.0e+5',
  '12345678901234567890.123456789012345678901234567890',
  '1e131073',
  '1E-999999',
  'null',
  'true',
  '""',
  '"\\u0000"',
  '"\\ud800 alone, \\udc00\\ud800"',
  '"é ✓ 😀 \u007f \u2028"',
  '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9"',
  '{}',
  '[]',
  '{"b": 1, "a":2,"b" :3}',
  '{"":[{ }, [ ] ,\t1\r\n]}',
  ` ${JSON.stringify({ nested: [1, { a: [] }] }, null, 2)}\n`,
  '['.repeat(DEEP) + ']'.repeat(DEEP),
  `${'{"a":'.repeat(DEEP)}1${'}'.repeat(DEEP)}`,
  `${'[1,{"a b":"[,"},'.repeat(DEEP / 10)}-1.5e3${']'.repeat(DEEP / 10)}`,
];
const REFUSED = [
  '01',
  '1.',
  '.5',
  '+1',
  '-',
  '0x1',
  '1e',
  'NaN',
  'Infinity',
  'undefined',
  'True',
  "'a'",
  '"a',
  '"a\nb"',
  '"a\tb"',
  '"\\x"',
  '"\\u12"',
  '{a:1}',
  '{"a" 1}',
  '{"a":1,}',
  '{1:2}',
  '[1,]',
  '[,1]',
  '[1 2]',
  '[1]]',
  '[[1]',
  '{"a":[}',
  '1 2',
  '/* a */ 1',
  '1 // a',
  '\ufeff1',
  '\u00a01',
  '\u000b1',
  '',
  '  ',
  `${'['.repeat(DEEP)}${']'.repeat(DEEP - 1)}`,
  `${'['.repeat(DEEP)}1 2${']'.repeat(DEEP)}`,
  `${'['.repeat(DEEP)}}${']'.repeat(DEEP)}`,
  `${'['.repeat(DEEP)}v${']'.repeat(DEEP)}`,
  `${'['.repeat(DEEP)}"${']'.repeat(DEEP)}`,
  `${'['.repeat(DEEP)}\u0001${']'.repeat(DEEP)}`,
  `${'{"a":'.repeat(DEEP)}${'}'.repeat(DEEP)}`,
  `${'{"a",'.repeat(DEEP)}1${'}'.repeat(DEEP)}`,
];

async function start(t: Test) {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  const receiver = await startReceiver(t);
  return { posthorn, client, receiver, id: await posthorn.subscribe(receiver.url) };
}

/** The text as the name of a check, in ASCII. */
const shown = (text: string) => encodeURI(text.toWellFormed().slice(0, 60));

const codeOf = (sent: Promise<unknown>): Promise<string | undefined> =>
  sent.then(
    () => undefined,
    (error: unknown) => (error as pg.DatabaseError).code,
  );

t.test(
  'send_json and send_raw take the JSON that HTTP takes, and deliver it as it is',
  async (t) => {
    const { posthorn, client, id } = await start(t);
    const dataOf = async (webhookId: string) => {
      const { rows } = await client.query<{ body: Buffer }>(
        'select body from posthorn.webhook_payloads where id = $1',
        [webhookId],
      );
      return rows[0]?.body.toString() as string;
    };
    for (const text of TAKEN) {
      const what = shown(text);
      const sent = await posthorn.request(
        'POST',
        '/v1/webhooks',
        `{"event_type":"order.created","data":${text}}`,
      );
      t.equal(sent.status, 202, what);
      t.ok((await dataOf(sent.json.webhook_id)).endsWith(`,"data":${text.trim()}}`), what);
      const json = await client.query(`select posthorn.send_json('order.created', $1) as id`, [
        text,
      ]);
      const [head, tail = ''] = (await dataOf(json.rows[0].id)).split(',"data":', 2);
      t.match(head, /^\{"type":"order\.created","timestamp":"[0-9T:.Z-]{24}"$/);
      t.equal(tail.length, text.length + 1, what);
      t.ok(tail === `${text}}`, what);

      t.equal((await posthorn.request('POST', `/ingest/${id}`, text)).status, 202, what);
      const raw = await client.query('select posthorn.send_raw($1, subscription_id => $2) as id', [
        Buffer.from(text),
        id,
      ]);
      t.ok((await dataOf(raw.rows[0].id)) === text, what);
    }
    for (const text of REFUSED) {
      const what = shown(text);
      const body = `{"event_type":"order.created","data":${text}}`;
      t.equal((await posthorn.request('POST', '/v1/webhooks', body)).status, 400, what);
      t.equal(
        await codeOf(client.query(`select posthorn.send_json('order.created', $1)`, [text])),
        '22P02',
        what,
      );
      t.equal((await posthorn.request('POST', `/ingest/${id}`, text)).status, 400, what);
      t.equal(
        await codeOf(
          client.query('select posthorn.send_raw($1, subscription_id => $2)', [
            Buffer.from(text),
            id,
          ]),
        ),
        text === '' ? '22023' : '22P02',
        what,
      );
    }
  },
);

t.test(
  'bytes that are not UTF-8 are no JSON, and are sent with another content type',
  async (t) => {
    const { posthorn, client, receiver, id } = await start(t);
    const bytes = Buffer.from([0x22, 0xff, 0x00, 0x22]);
    t.equal((await posthorn.request('POST', `/ingest/${id}`, bytes)).status, 400);
    const send = (contentType: string) =>
      client.query('select posthorn.send_raw($1, $2, subscription_id => $3)', [
        bytes,
        contentType,
        id,
      ]);
    for (const type of [
      'application/json',
      'APPLICATION/JSON; charset=latin1',
      'application/a+json',
    ])
      await t.rejects(send(type), { code: '22P02', message: /not UTF-8/ }, type);
    await send('application/octet-stream');
    const [request] = await receiver.waitFor(1);
    t.strictSame(request?.body, bytes);
    t.equal(request?.headers['content-type'], 'application/octet-stream');
    for (const type of [
      null,
      '',
      'text',
      'text/',
      'a/b c',
      'text/plain\r\nx: y',
      'a/b; ✓',
      `a/${'b'.repeat(300)}`,
    ])
      await t.rejects(send(type as string), { code: '22023', hint: /text\/plain/ }, String(type));
  },
);

t.test(
  'send_raw sends by event type, with filters on the whole body, or to a subscription',
  async (t) => {
    const { posthorn, client, receiver } = await start(t);
    const { status } = await posthorn.request('POST', '/v1/subscriptions', {
      url: receiver.url,
      event_types: ['order.*'],
      filter: '$.total > 100',
    });
    t.equal(status, 201);
    const send = (body: string, rest: string) =>
      client.query(`select posthorn.send_raw($1, ${rest})`, [Buffer.from(body)]);
    await send('{"total": 5}', `event_type => 'order.paid'`);
    await send('{"total": 500 }', `event_type => 'order.paid', headers => '{"X-A": "b"}'`);
    const [request] = await receiver.waitFor(1);
    t.equal(String(request?.body), '{"total": 500 }');
    t.equal(request?.headers['x-a'], 'b');
    await t.rejects(send('1', `tenant => 'default'`), {
      code: '22023',
      message: /neither an event type nor a subscription/,
    });
    await t.rejects(send('1', `event_type => 'a b'`), { code: '22023' });
    await t.rejects(send('1', 'subscription_id => 99'), { code: '23503' });
  },
);

t.test('send_json and send_raw have the limits, keys and times of send', async (t) => {
  const { posthorn, client, id } = await start(t);
  const mib = 1024 * 1024;
  const json = (rest: string, text = '{"b": 1.0}') =>
    client.query(`select posthorn.send_json('order.paid', $1, ${rest}) as id`, [text]);
  const raw = (rest: string, body = 'x') =>
    client.query(
      `select posthorn.send_raw($1, 'text/plain', subscription_id => ${id}, ${rest}) as id`,
      [Buffer.from(body)],
    );
  await t.rejects(json('null', 'x'.repeat(mib)), { code: '22004' });
  await t.rejects(json(`'default'`, `"${'é'.repeat(mib / 2)}"`), {
    code: '54000',
    message: /order\.paid/,
  });
  await t.rejects(raw(`tenant => 'default'`, 'x'.repeat(mib + 1)), {
    code: '54000',
    message: /1048577/,
  });
  await raw(`tenant => 'default'`, 'x'.repeat(mib));
  for (const send of [json, raw]) {
    const key = `idempotency_key => '${send === json ? 'json' : 'raw'}'`;
    const first = await send(key);
    t.strictSame((await send(key)).rows, first.rows);
    await t.rejects(send(key, '[1]'), { code: '23505' });
    await t.rejects(send(`${key}, headers => '{"X-A": "b"}'`), { code: '23505' });
    const other = await connect(t, posthorn.databaseUrl);
    await other.query(
      `begin; select posthorn.send('a', '1', idempotency_key => 'open ${send === json}')`,
    );
    await t.rejects(send(`idempotency_key => 'open ${send === json}'`), { code: '55P03' });
    await other.query('rollback');
    await t.rejects(send(`deliver_at => 'infinity'`), { code: '22023', hint: /30 days/ });
    await t.rejects(send(`headers => '{"Host": "b"}'`), { code: '22023', message: /"Host"/ });
    const scheduled = await send(`deliver_at => now() + interval '1 hour'`);
    const { json: webhook } = await posthorn.request('GET', `/v1/webhooks/${scheduled.rows[0].id}`);
    t.ok(webhook.deliver_at !== null);
  }
  await client.query(`set role ${await createSender(t, client)}`);
  await json(`'default'`);
  await raw(`tenant => 'default'`);
});
