import fc from 'fast-check';
import t, { type Test } from 'tap';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { createSender } from '../helpers/sender.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

/** A subscription for some event types, at a path of its own. Returns its id. */
async function subscribe(
  posthorn: TestService,
  url: string,
  event_types?: string[] | null,
): Promise<number> {
  const { status, json, text } = await posthorn.request('POST', '/v1/subscriptions', {
    url,
    ...(event_types === undefined ? {} : { event_types }),
  });
  if (status !== 201) throw new Error(text);
  return json.id;
}

async function start(t: Test) {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  return { receiver, posthorn };
}

t.test('a webhook goes to all subscriptions to its type, and to no others', async (t) => {
  const { receiver, posthorn } = await start(t);
  const wants: Record<string, string[] | null> = {
    exact: ['order.created'],
    prefix: ['order.*'],
    deeper: ['order.created.*'],
    everything: ['*'],
    unsaid: null,
    several: ['invoice.paid', 'order.created', 'order.*', '*'],
    other: ['invoice.*'],
    longer: ['orders.*'],
    none: [],
  };
  for (const [path, types] of Object.entries(wants))
    await subscribe(posthorn, `${receiver.url}/${path}`, types);
  await posthorn.subscribe(`${receiver.url}/first-system`);

  const expected: Record<string, string[]> = {
    'order.created': ['everything', 'exact', 'prefix', 'several', 'unsaid'],
    'order.created.late': ['deeper', 'everything', 'prefix', 'several', 'unsaid'],
    order: ['everything', 'several', 'unsaid'],
    'orders.created': ['everything', 'longer', 'several', 'unsaid'],
  };
  for (const [event_type, paths] of Object.entries(expected)) {
    const before = receiver.received.length;
    const { status, json } = await posthorn.request('POST', '/v1/webhooks', {
      event_type,
      data: { a: 1 },
    });
    t.equal(status, 202);
    t.match(json, { status: 'accepted', deliveries: paths.length }, event_type);
    const requests = (await receiver.waitFor(before + paths.length)).slice(before);
    t.strictSame(requests.map(({ path }) => path.slice(1)).sort(), paths, event_type);
    t.ok(requests.every(({ headers }) => headers['webhook-id'] === json.webhook_id));
    const webhook = (await posthorn.request('GET', `/v1/webhooks/${json.webhook_id}`)).json;
    t.match(webhook, { event_type, deliveries: { length: paths.length } });
  }
});

t.test('data is delivered byte for byte, in the shape of Standard Webhooks', async (t) => {
  const { receiver, posthorn } = await start(t);
  await subscribe(posthorn, receiver.url);
  const data = '{ "n": 12345678901234567890.10,\n\t"s": "\\u00e9\\/", "z":1, "a":[ ] }';
  const body = `{"data" : ${data}, "event_type": "order.created"}`;
  t.equal((await posthorn.request('POST', '/v1/webhooks', body)).status, 202);
  const [request] = await receiver.waitFor(1);
  const match = /^\{"type":"order\.created","timestamp":"([^"]+)","data":([\s\S]*)\}$/.exec(
    request?.body.toString() ?? '',
  );
  t.equal(match?.[2], data);
  t.ok(Math.abs(Date.parse(match?.[1] ?? '') - Date.now()) < 60_000);
  t.equal(request?.headers['content-type'], 'application/json');

  const raw = `{"event_type": "order.created", "raw": true, "data": ${data} }`;
  t.equal((await posthorn.request('POST', '/v1/webhooks', raw)).status, 202);
  t.equal((await receiver.waitFor(2))[1]?.body.toString(), data);
});

t.test('a webhook without a matching subscription is stored without deliveries', async (t) => {
  const { posthorn } = await start(t);
  const { json } = await posthorn.request('POST', '/v1/webhooks', { event_type: 'a', data: null });
  t.equal(json.deliveries, 0);
  t.match((await posthorn.request('GET', `/v1/webhooks/${json.webhook_id}`)).json, {
    event_type: 'a',
    deliveries: [],
  });
});

t.test('a webhook can be sent to one subscription, without regard to its types', async (t) => {
  const { receiver, posthorn } = await start(t);
  const id = await subscribe(posthorn, `${receiver.url}/named`, ['other']);
  await subscribe(posthorn, `${receiver.url}/all`);
  const { json } = await posthorn.request('POST', '/v1/webhooks', {
    event_type: 'order.created',
    data: 1,
    subscription_id: id,
  });
  t.equal(json.deliveries, 1);
  const [request] = await receiver.waitFor(1);
  t.equal(request?.path, '/named');
  const missing = { event_type: 'order.created', data: 1, subscription_id: 999 };
  t.equal((await posthorn.request('POST', '/v1/webhooks', missing)).status, 404);
});

t.test('a batch is accepted in its order, as a whole or not at all', async (t) => {
  const { receiver, posthorn } = await start(t);
  await subscribe(posthorn, receiver.url);
  const webhooks = Array.from({ length: 1000 }, (_, n) => ({ event_type: 'n', data: { n } }));
  const { status, json } = await posthorn.request('POST', '/v1/webhooks/batch', { webhooks });
  t.equal(status, 202);
  // A busy machine may make one late, so that it comes twice.
  const ids = () => new Set(receiver.received.map(({ headers }) => headers['webhook-id']));
  await until('all have come', () => ids().size === 1000);
  const requests = receiver.received;
  const numberOf = new Map(
    requests.map(({ headers, body }) => [
      headers['webhook-id'],
      JSON.parse(body.toString()).data.n,
    ]),
  );
  t.strictSame(
    json.webhooks.map(({ webhook_id }: { webhook_id: string }) => numberOf.get(webhook_id)),
    webhooks.map(({ data }) => data.n),
  );

  const spoilt = [...webhooks.slice(0, 5), { event_type: 'not a type', data: 1 }];
  const refused = await posthorn.request('POST', '/v1/webhooks/batch', { webhooks: spoilt });
  t.equal(refused.status, 400);
  t.match(refused.json.errors, [
    { field: 'body.webhooks.5.event_type', message: /order\.created/ },
  ]);
  t.equal((await posthorn.request('GET', '/v1/stats')).json.accepted, 1000);
});

t.test('an invalid webhook is refused with the field and what would be right', async (t) => {
  const { posthorn } = await start(t);
  const cases: [body: unknown, field: string][] = [
    [{ data: 1 }, 'body.event_type'],
    [{ event_type: 'a' }, 'body.data'],
    [{ event_type: '', data: 1 }, 'body.event_type'],
    [{ event_type: 'a..b', data: 1 }, 'body.event_type'],
    [{ event_type: 'order.*', data: 1 }, 'body.event_type'],
    [{ event_type: 'x'.repeat(129), data: 1 }, 'body.event_type'],
    [{ event_type: 7, data: 1 }, 'body.event_type'],
    [{ event_type: 'a', data: 1, raw: 'yes' }, 'body.raw'],
    [{ event_type: 'a', data: 1, subscription_id: '1' }, 'body.subscription_id'],
    [{ event_type: 'a', data: 1, datum: 2 }, 'body.datum'],
  ];
  for (const [body, field] of cases) {
    const { status, json } = await posthorn.request('POST', '/v1/webhooks', body);
    t.equal(status, 400, JSON.stringify(body));
    t.equal(json.errors[0].field, field, JSON.stringify(body));
  }
  for (const body of ['', '[', '{"event_type":"a"'])
    t.equal(
      (await posthorn.request('POST', '/v1/webhooks', body)).json.title,
      'The body is not valid JSON',
    );
  t.equal((await posthorn.request('POST', '/v1/webhooks', [])).status, 400);
  t.equal((await posthorn.request('POST', '/v1/webhooks/batch', { webhooks: [] })).status, 400);
  for (const types of [['a b'], ['*.a'], ['order.**'], [''], 'order.created']) {
    const reply = await posthorn.request('POST', '/v1/subscriptions', {
      url: 'https://example.com/',
      event_types: types,
    });
    t.equal(reply.status, 400, JSON.stringify(types));
  }
});

t.test('a subscription can be read, changed, listed in pages and deleted', async (t) => {
  const { receiver, posthorn } = await start(t);
  const ids: number[] = [];
  for (let n = 0; n < 5; n++) ids.push(await subscribe(posthorn, `${receiver.url}/${n}`, ['a']));
  const path = `/v1/subscriptions/${ids[0]}`;
  t.match((await posthorn.request('GET', path)).json, {
    id: ids[0],
    url: `${receiver.url}/0`,
    event_types: ['a'],
    description: null,
    has_secret: false,
  });
  const change = { event_types: ['b.*'], description: 'of the shop', secret: 'signs' };
  t.match((await posthorn.request('PATCH', path, change)).json, {
    url: `${receiver.url}/0`,
    event_types: ['b.*'],
    description: 'of the shop',
    has_secret: true,
  });
  t.notMatch((await posthorn.request('GET', path)).text, 'signs');
  t.match((await posthorn.request('PATCH', path, { secret: null })).json, { has_secret: false });
  t.equal((await posthorn.request('PATCH', path, {})).status, 400);
  t.equal((await posthorn.request('PATCH', path, { id: 7 })).status, 400);
  t.equal((await posthorn.request('PATCH', path, { url: 'http://10.0.0.1/' })).status, 400);

  const first = (await posthorn.request('GET', '/v1/subscriptions?limit=3')).json;
  const second = (
    await posthorn.request('GET', `/v1/subscriptions?limit=3&cursor=${first.next_cursor}`)
  ).json;
  const listed = [...first.data, ...second.data].map(({ id }) => id);
  t.strictSame([listed, second.next_cursor], [ids, null]);

  t.match((await posthorn.request('DELETE', path)).json, { cancelled: 0 });
  for (const method of ['GET', 'DELETE'])
    t.equal((await posthorn.request(method, path)).status, 404, method);
  t.equal((await posthorn.request('PATCH', path, change)).status, 404);
});

t.test('a webhook sent from SQL belongs to the transaction that sent it', async (t) => {
  const { receiver, posthorn } = await start(t);
  await subscribe(posthorn, receiver.url, ['order.*']);
  const client = await connect(t, posthorn.databaseUrl);
  const send = async (n: number) =>
    (await client.query(`select posthorn.send('order.created', $1::jsonb) as id`, [{ n }])).rows[0]
      .id;

  await client.query('begin');
  const lost = await send(1);
  await client.query('rollback');
  await client.query('begin');
  const kept = await send(2);
  t.equal((await posthorn.request('GET', `/v1/webhooks/${kept}`)).status, 404, 'not before commit');
  await client.query('commit');
  const [request] = await receiver.waitFor(1);
  t.equal(request?.headers['webhook-id'], kept);
  t.match(JSON.parse(request?.body.toString() ?? ''), {
    type: 'order.created',
    timestamp: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
    data: { n: 2 },
  });
  t.equal((await posthorn.request('GET', `/v1/webhooks/${lost}`)).status, 404);

  const { rows } = await client.query(
    `select posthorn.send_many(array['order.a', 'order.b'], array['{"n":3}', 'null']::jsonb[]) as ids`,
  );
  const many = (await receiver.waitFor(3)).slice(1);
  t.strictSame(many.map(({ headers }) => headers['webhook-id']).sort(), rows[0].ids.toSorted());
});

t.test('errors in SQL have a SQLSTATE and a hint', async (t) => {
  const { posthorn } = await start(t);
  const client = await connect(t, posthorn.databaseUrl);
  const cases: [statement: string, code: string, hint: RegExp][] = [
    [`select posthorn.send('not a type', '1')`, '22023', /order\.created/],
    [`select posthorn.send(null, '1')`, '22023', /order\.created/],
    [`select posthorn.send('a', '1', null)`, '22004', /default/],
    [`select posthorn.send_many(array['a'], '{}'::jsonb[])`, '22023', /one event type for each/],
    [`select posthorn.send('posthorn.circuit_opened', '1')`, '42939', /another first word/],
    [`select posthorn.send('a', '1', channels => '{a b}')`, '22023', /project-42/],
    [`select posthorn.send('a', '1', channels => '{}')`, '22023', /null for none/],
    [`select posthorn.send('a', '1', ordering_key => '')`, '22023', /256/],
    [`select posthorn.send('a', '1', idempotency_key => 'é')`, '22023', /ASCII/],
    [
      `select posthorn.send('a', '1', subscription_id => 999)`,
      '23503',
      /Leave the subscription out/,
    ],
    [
      `select posthorn.send_many('{a}', '{1}', ordering_keys => '{a,b}')`,
      '22023',
      /one ordering key for each/,
    ],
  ];
  for (const [statement, code, hint] of cases)
    await t.rejects(client.query(statement), { code, hint }, statement);
  t.strictSame(
    (await client.query(`select posthorn.send_many('{}', '{}') as ids`)).rows[0].ids,
    [],
  );
});

t.test('SQL has all the options of HTTP', async (t) => {
  const { receiver, posthorn } = await start(t);
  const chosen = await posthorn.request('POST', '/v1/subscriptions', {
    url: `${receiver.url}/chosen`,
    channels: ['a'],
  });
  await subscribe(posthorn, `${receiver.url}/typed`, ['order.*']);
  const client = await connect(t, posthorn.databaseUrl);
  const arrives = async (call: string, paths: string[]) => {
    const before = receiver.received.length;
    const { rows } = await client.query(`select ${call} as id`);
    const requests = (await receiver.waitFor(before + paths.length)).slice(before);
    t.strictSame(requests.map(({ path }) => path.slice(1)).sort(), paths, call);
    return rows[0].id;
  };
  await arrives(`posthorn.send('order.created', '1', channels => '{b,a}')`, ['chosen', 'typed']);
  await arrives(`posthorn.send('order.created', '1', channels => '{b}')`, ['typed']);
  await arrives(`posthorn.send('other', '1', subscription_id => ${chosen.json.id})`, ['chosen']);
  const id = await arrives(
    `posthorn.send('order.created', '1', 'default', '{b}', 'order-7', 'key-7')`,
    ['typed'],
  );
  t.equal(
    await arrives(`posthorn.send('order.created', '1', 'default', '{b}', 'order-7', 'key-7')`, []),
    id,
  );
  const many = `posthorn.send_many('{order.a,order.b,order.c}', '{1,2,3}', ordering_keys => '{x,NULL,y}', idempotency_key => 'key-8')`;
  const ids = await arrives(many, ['typed', 'typed', 'typed']);
  t.strictSame(await arrives(many, []), ids);
  const { rows } = await client.query(
    'select event_type, ordering_key from posthorn.webhook_payloads where id = any($1) order by 1',
    [ids],
  );
  t.strictSame(rows, [
    { event_type: 'order.a', ordering_key: 'x' },
    { event_type: 'order.b', ordering_key: null },
    { event_type: 'order.c', ordering_key: 'y' },
  ]);
});

t.test('only Posthorn can send types that begin with posthorn.', async (t) => {
  const { posthorn } = await start(t);
  const webhook = { event_type: 'posthorn.circuit_opened', data: 1 };
  const one = await posthorn.request('POST', '/v1/webhooks', webhook);
  t.match(one, {
    status: 400,
    json: { errors: [{ field: 'body.event_type', message: /kept for webhooks of Posthorn/ }] },
  });
  const batch = await posthorn.request('POST', '/v1/webhooks/batch', { webhooks: [webhook] });
  t.match(batch.json.errors, [{ field: 'body.webhooks.0.event_type' }]);
  await subscribe(posthorn, 'http://127.0.0.1:9/', ['posthorn.*']);
  const near = { event_type: 'posthorny.x', data: 1 };
  t.equal((await posthorn.request('POST', '/v1/webhooks', near)).status, 202);
});

t.test('a role that may send can only send', async (t) => {
  const { receiver, posthorn } = await start(t);
  await subscribe(posthorn, receiver.url);
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(`set role ${await createSender(t, client)}`);
  await client.query(`select posthorn.send('a', '1')`);
  await receiver.waitFor(1);
  for (const statement of [
    'select * from posthorn.subscriptions',
    'select * from posthorn.webhooks',
    `insert into posthorn.subscriptions (url) values ('http://x/')`,
    `select posthorn.accept('', '{}', '{}', '{}', '{}', '{}', '{}')`,
    `select posthorn.accept('', '{}', '{}', '{}', '{}', '{}', '{}', null, null, null, null, null, true)`,
    'select * from posthorn.idempotency_keys',
    'select * from posthorn.rights',
    `select posthorn.allow_sender(current_user)`,
    "select graphile_worker.add_job('x')",
  ])
    await t.rejects(client.query(statement), { code: '42501' }, statement);
  // What a caller puts in its path is not what the function finds.
  await client.query('create temp table unnest (x integer)');
  await client.query('set search_path = pg_temp, public');
  await client.query(`select posthorn.send('a', '2')`);
  await receiver.waitFor(2);
});

t.test('every event type has exactly the patterns that match it', async (t) => {
  const { posthorn } = await start(t);
  const client = await connect(t, posthorn.databaseUrl);
  const word = fc.stringMatching(/^[a-z0-9_-]{1,5}$/);
  await fc.assert(
    fc.asyncProperty(fc.array(word, { minLength: 1, maxLength: 5 }), async (words) => {
      const expected = ['*', words.join('.')];
      for (let n = 1; n < words.length; n++) expected.push(`${words.slice(0, n).join('.')}.*`);
      const { rows } = await client.query('select posthorn.event_type_patterns($1) as patterns', [
        words.join('.'),
      ]);
      t.strictSame(rows[0].patterns.toSorted(), expected.sort());
    }),
    { numRuns: 50 },
  );
});

t.test(
  'concurrent webhooks are accepted together, and each request gets its own answer',
  async (t) => {
    const { receiver, posthorn } = await start(t);
    await subscribe(posthorn, `${receiver.url}/a`, ['a']);
    await subscribe(posthorn, `${receiver.url}/b`, ['b']);
    const direct = await posthorn.subscribe(`${receiver.url}/direct`);
    const answers = await Promise.all(
      Array.from({ length: 90 }, async (_, n) => {
        const kind = ['a', 'b', 'direct'][n % 3] as string;
        if (kind === 'direct') return [kind, await posthorn.ingest(direct, { n })];
        const { json } = await posthorn.request('POST', '/v1/webhooks', {
          event_type: kind,
          data: n,
        });
        return [kind, json.webhook_id];
      }),
    );
    const kindOf = new Map(answers.map(([kind, id]) => [id, kind]));
    for (const { path, headers } of await receiver.waitFor(90))
      t.equal(path.slice(1), kindOf.get(headers['webhook-id'] as string));
    await until('all are recorded', async () => {
      return (await posthorn.request('GET', '/v1/stats')).json.succeeded === 90;
    });
  },
);
