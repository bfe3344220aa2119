import type pg from 'pg';
import t, { type Test } from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { createSender } from '../helpers/sender.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const MIB = 1024 * 1024;

async function start(t: Test): Promise<pg.Client> {
  const client = await connect(t, await createTestDatabase(t));
  await client.query(
    `insert into posthorn.subscriptions (url, event_types) values ('http://a.example/', '{order.*}')`,
  );
  return client;
}

async function count(client: pg.Client, table: string): Promise<number> {
  return (await client.query(`select count(*)::integer as n from posthorn.${table}`)).rows[0].n;
}

/** What `posthorn.send` puts around the data. */
const ENVELOPE = '{"type":"order.paid","timestamp":"2026-11-28T10:00:00.000Z","data":""}'.length;

t.test(
  'a webhook that too many subscriptions match is refused at once, and says why',
  async (t) => {
    const posthorn = await startTestService(t);
    const client = await connect(t, posthorn.databaseUrl);
    // 100,000 subscriptions would take a minute to create.
    const MOST = 600;
    const { rows } = await client.query(
      `select pg_get_functiondef(oid) as text from pg_proc
     where proname = 'accept_general' and pronamespace = 'posthorn'::regnamespace`,
    );
    await client.query(rows[0].text.replace('100000', `${MOST}`));
    const subscribe = (number: number) =>
      client.query(
        `insert into posthorn.subscriptions (url, status, event_types)
       select null, 'active', '{order.*}' from generate_series(1, $1)`,
        [number],
      );
    const webhook = { event_type: 'order.created', data: {} };
    const send = () => client.query(`select posthorn.send('order.created', '{}')`);
    await subscribe(MOST);
    t.equal((await posthorn.request('POST', '/v1/webhooks', webhook)).status, 202);
    await send();
    const accepted = await count(client, 'webhook_payloads');
    await subscribe(1);
    const said =
      /^More than 100,000 subscriptions match this webhook.* Nothing was accepted\. Give/;
    for (const [path, body] of [
      ['/v1/webhooks', webhook],
      ['/v1/webhooks/batch', { webhooks: [webhook, { ...webhook, event_type: 'user.gone' }] }],
    ] as const) {
      const { status, json } = await posthorn.request('POST', path, body);
      t.equal(status, 409, path);
      t.match(json, { detail: said });
    }
    await t.rejects(send(), {
      code: '54000',
      message: /more than 600 subscriptions match/,
      hint: /channels or event types/,
    });
    t.equal(await count(client, 'webhook_payloads'), accepted, 'nothing was accepted');
    await posthorn.request('POST', '/v1/webhooks', { ...webhook, event_type: 'user.gone' });
    t.equal(await count(client, 'webhook_payloads'), accepted + 1, 'other types are sent');
  },
);

t.test(
  'a body of one MiB is sent from SQL, and one byte more is refused with a hint',
  async (t) => {
    const client = await start(t);
    const send = (length: number) =>
      client.query(`select posthorn.send('order.paid', to_jsonb(repeat('x', $1)))`, [length]);
    await send(MIB - ENVELOPE);
    const tooLarge = {
      code: '54000',
      message: /order\.paid.* 1048577 bytes.* 1048576/,
      hint: /POSTHORN_MAX_BODY/,
    };
    await t.rejects(send(MIB - ENVELOPE + 1), tooLarge);
    // Characters are not bytes, and eight bytes of a number may be 131,072 characters.
    await t.rejects(
      client.query(`select posthorn.send('order.paid', to_jsonb(repeat('é', $1)))`, [MIB / 2]),
      { code: '54000' },
    );
    await t.rejects(
      client.query(
        `select posthorn.send('order.paid', ('[' || repeat('1e131071,', 9) || '1]')::jsonb)`,
      ),
      { code: '54000' },
    );
    t.equal(await count(client, 'webhook_payloads'), 1);
  },
);

t.test('send_many sends none when one is too large, and says which', async (t) => {
  const client = await start(t);
  await t.rejects(
    client.query(
      `select posthorn.send_many(array_fill('order.paid'::text, array[2000]),
         array_fill('1'::jsonb, array[1499]) || to_jsonb(repeat('x', 2000000)) || array_fill('1'::jsonb, array[500]))`,
    ),
    { code: '54000', detail: 'It is number 1500 of 2000 in this call.' },
  );
  t.equal(await count(client, 'webhook_payloads'), 0);
  t.equal(await count(client, 'deliveries'), 0);
});

t.test('the limit is the setting of the process that started last', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t, { POSTHORN_MAX_BODY: '2KiB' });
  await posthorn.subscribe(receiver.url);
  const client = await connect(t, posthorn.databaseUrl);
  const send = () =>
    client.query(`select posthorn.send('order.paid', to_jsonb(repeat('x', 3000)))`);
  await t.rejects(send(), { code: '54000', message: /2048/ });
  await startTestService(t, { DATABASE_URL: posthorn.databaseUrl, POSTHORN_MAX_BODY: '4KiB' });
  await send();
  await client.query(`set role ${await createSender(t, client)}`);
  await t.rejects(client.query('update posthorn.limits set max_body_bytes = 1e9'), {
    code: '42501',
  });
});

t.test(
  'send_many keeps the order for arrays of any shape, with one key for all webhooks',
  async (t) => {
    const client = await start(t);
    const send = async (data: string, more = '') =>
      (
        await client.query(
          `select array_length(ids, 1) as n, ids from (select posthorn.send_many(types, data ${more}) as ids
         from (select array_agg('order.n' || n % 3) as types, ${data} as data from generate_series(1, 2500) as n) as g) as s`,
        )
      ).rows[0];
    const data = `array_agg(to_jsonb(n || repeat('x', case n when 7 then 900000 else 1000 end)))`;
    const { n, ids } = await send(
      data,
      `, idempotency_key => 'once', ordering_keys => array(select 'k' || i from generate_series(1, 2500) as i)`,
    );
    t.equal(n, 2500);
    const { rows } = await client.query(
      `select p.event_type, p.ordering_key, (convert_from(p.body, 'UTF8')::jsonb ->> 'data')::text as data,
       (select count(*)::integer from posthorn.deliveries d where d.webhook_id = p.id) as owed
     from unnest($1::uuid[]) with ordinality as u (id, place) join posthorn.webhook_payloads p using (id) order by place`,
      [ids],
    );
    t.equal(rows.length, 2500);
    t.ok(
      rows.every(
        ({ event_type, ordering_key, data, owed }, index) =>
          event_type === `order.n${(index + 1) % 3}` &&
          ordering_key === `k${index + 1}` &&
          data.startsWith(`${index + 1}x`) &&
          owed === 1,
      ),
    );
    const again = await send(
      data,
      `, idempotency_key => 'once', ordering_keys => array(select 'k' || i from generate_series(1, 2500) as i)`,
    );
    t.strictSame(again.ids, ids, 'the same call returns the same ids');
    await t.rejects(send(data, `, idempotency_key => 'once'`), { code: '23505' });
    t.equal(await count(client, 'webhook_payloads'), 2500);
    t.equal(await count(client, 'idempotency_keys'), 1);

    const shapes = await client.query(
      `select posthorn.send_many('{{order.a,order.b},{order.c,order.d}}', '[5:8]={1,2,3,4}'::jsonb[]) as ids`,
    );
    const sent = await client.query(
      `select string_agg(event_type || (convert_from(body, 'UTF8')::jsonb ->> 'data'), ' ' order by place) as all
     from unnest($1::uuid[]) with ordinality as u (id, place) join posthorn.webhook_payloads using (id)`,
      [shapes.rows[0].ids],
    );
    t.equal(sent.rows[0].all, 'order.a1 order.b2 order.c3 order.d4');
  },
);

t.test('send_many of 100,000 webhooks takes few megabytes besides their arrays', async (t) => {
  const client = await start(t);
  const arrays = `select array_agg('order.paid'::text) as types, array_agg(jsonb_build_object('id', n, 'text', repeat('x', 200))) as data
    from generate_series(1, 100000) as n`;
  await client.query(`create table public.sizes (megabytes numeric)`);
  await client.query(`
    create function public.measure() returns trigger language plpgsql as $$
    begin
      insert into public.sizes select sum(total_bytes) / 1024 / 1024 from pg_backend_memory_contexts;
      return null;
    end $$`);
  await client.query(
    'create trigger measure after insert on posthorn.deliveries for each statement execute function public.measure()',
  );
  await client.query('begin');
  await client.query(`select cardinality(posthorn.send_many(types, data)) from (${arrays}) as g`);
  const { rows } = await client.query('select max(megabytes)::float as most from public.sizes');
  await client.query('rollback');
  // The arrays and one copy of them have 89 MB. When all went at once it was 460 MB.
  t.ok(rows[0].most > 50 && rows[0].most < 140, `${rows[0].most} MB`);
});

t.test('all parameters of send and send_many have limits', async (t) => {
  const client = await start(t);
  const cases: [sql: string, values: unknown[]][] = [
    [`select posthorn.send($1, '1')`, ['x'.repeat(2 * MIB)]],
    [`select posthorn.send('a', '1', channels => array[$1])`, ['x'.repeat(2 * MIB)]],
    [`select posthorn.send('a', '1', channels => array_fill('a'::text, array[100000]))`, []],
    [`select posthorn.send('a', '1', ordering_key => $1)`, ['x'.repeat(2 * MIB)]],
    [`select posthorn.send('a', '1', idempotency_key => $1)`, ['x'.repeat(2 * MIB)]],
  ];
  for (const [sql, values] of cases) {
    const error = (await client
      .query(sql, values)
      .catch((error: unknown) => error)) as pg.DatabaseError;
    t.equal(error.code, '22023', sql);
    t.ok(error.message.length < 500, 'and the error does not repeat it');
  }
  await until('nothing was sent', async () => (await count(client, 'webhook_payloads')) === 0);
});

t.test('send judges its parameters as send_many does', async (t) => {
  const client = await start(t);
  await client.query(`
    insert into posthorn.tenants (id, strict_event_types, deleted_at)
    values ('acme', false, null), ('strict', true, null), ('gone', false, now());
    insert into posthorn.subscriptions (tenant, url, event_types, channels, filter, ordering) values
      ('acme', 'http://b.example/', null, null, null, 'none'),
      ('default', 'http://c.example/', '{order.*}', null, '$ ? (@.a == 1)', 'none'),
      ('default', 'http://d.example/', null, null, '$ ? (@.a == 2 || @ == null)', 'none'),
      ('default', 'http://e.example/', '{order}', null, null, 'strict'),
      ('default', 'http://f.example/', '{order.paid}', '{a}', null, 'none');
    insert into posthorn.event_types (tenant, name) values ('strict', 'order.paid')`);
  const long = 'x'.repeat(128);
  const given = {
    event_type: [
      'order',
      'posthorn',
      'posthorn.order',
      'posthorn-x.order',
      'order.posthorn.paid',
      'Order_1.a-b',
      'order.',
      '.order',
      'order..paid',
      'order paid',
      'order\n',
      'ördér',
      '',
      null,
      long,
      `${long}x`,
    ],
    tenant: ['default', 'acme', 'strict', 'gone', 'none', '', null],
    channels: [
      '{}',
      '{a}',
      '{a,b.c:d_e-f}',
      '{a,null}',
      '{null}',
      '{""}',
      '{"a,b"}',
      '{"a,",b}',
      '{"a\n"}',
      '{é}',
      '{{a,b},{c,d}}',
      '[5:6]={a,b}',
      `{${long}}`,
      `{${long}x}`,
      `{${Array(20).fill(long)}}`,
      `{${Array(21).fill('a')}}`,
    ],
    ordering_key: ['a', '', ' ', 'k'.repeat(256), 'k'.repeat(257), '€'.repeat(256)],
    subscription_id: [1, 2, 3, 4, 5, -1],
    data: ['{"a": 2}', 'null', '"é"', null],
  };
  const judged = async (statement: string, values: unknown[]) => {
    try {
      const { rows } = await client.query(statement, values);
      const sent = await client.query(
        `select p.tenant, p.event_type, p.content_type, p.channels::text, p.ordering_key, p.headers,
           regexp_replace(convert_from(p.body, 'UTF8'), '"timestamp":"[^"]*"', '') as body,
           array(select d.subscription_id || ' ' || d.state from posthorn.deliveries d where d.webhook_id = p.id order by 1) as subscriptions
         from posthorn.webhook_payloads p where p.id = $1`,
        [rows[0].id],
      );
      return sent.rows[0];
    } catch (error) {
      const { code, message, detail, hint } = error as pg.DatabaseError;
      return { code, message, detail, hint };
    }
  };
  for (const [name, values] of Object.entries(given)) {
    for (const value of values) {
      const usual: Record<string, unknown> = {
        event_type: 'order.paid',
        tenant: 'default',
        channels: null,
        ordering_key: null,
        subscription_id: null,
        data: '{"a": 1}',
      };
      const rest = Object.values({ ...usual, [name]: value });
      const one = await judged(
        `select posthorn.send($1, $6, $2, $3, $4, subscription_id => $5::integer) as id`,
        rest,
      );
      const many = await judged(
        `select (posthorn.send_many(array[$1], array[$6::jsonb], $2, $3,
           case when $4::text is not null then array[$4] end, subscription_id => $5::integer))[1] as id`,
        rest,
      );
      t.same(one, many, `${name} ${value}`);
    }
  }
});
