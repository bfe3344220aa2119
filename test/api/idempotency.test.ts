import { randomUUID } from 'node:crypto';
import t, { type Test } from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const ORDER = { event_type: 'order.created', data: { id: 7 } };

const send = (posthorn: TestService, key: string, body: unknown = ORDER, path = '/v1/webhooks') =>
  posthorn.request('POST', path, body, { 'idempotency-key': key });

/** How many webhooks there are. */
async function webhooks(t: Test, databaseUrl: string): Promise<number> {
  const client = await connect(t, databaseUrl);
  const { rows } = await client.query('select count(*)::integer from posthorn.webhook_payloads');
  return rows[0].count;
}

t.test('the same request under the same key is accepted once and answered the same', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe(receiver.url);
  await posthorn.request('POST', '/v1/subscriptions', { url: receiver.url });
  const batch = { webhooks: [ORDER, { ...ORDER, data: 2 }, ORDER] };
  const requests: [path: string, body: unknown][] = [
    ['/v1/webhooks', ORDER],
    ['/v1/webhooks/batch', batch],
    [`/ingest/${id}`, { any: 'thing' }],
  ];
  for (const [path, body] of requests) {
    const key = randomUUID();
    const first = await send(posthorn, key, body, path);
    t.equal(first.status, 202, path);
    t.equal(first.headers.get('idempotent-replayed'), null, path);
    for (const spelling of [key, `"${key}"`]) {
      const again = await send(posthorn, spelling, body, path);
      t.strictSame([again.status, again.json], [202, first.json], path);
      t.equal(again.headers.get('idempotent-replayed'), 'true', path);
    }
    const other = await send(posthorn, randomUUID(), body, path);
    t.notSame(other.json, first.json, 'under another key it is another');
  }
  t.equal(await webhooks(t, posthorn.databaseUrl), 10);
  await receiver.waitFor(10);
  const { text } = await posthorn.request('GET', '/metrics');
  t.match(text, /posthorn_webhooks_accepted_total(?:\{[^}]*\})? 10\n/, 'and is counted once');
});

t.test('a key that was used for another request is refused', async (t) => {
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe('http://127.0.0.1:9/');
  const key = randomUUID();
  t.equal((await send(posthorn, key)).status, 202);
  const others: [path: string, body: unknown][] = [
    ['/v1/webhooks', { ...ORDER, data: { id: 8 } }],
    ['/v1/webhooks', JSON.stringify(ORDER, null, 2)],
    ['/v1/webhooks/batch', { webhooks: [ORDER] }],
    [`/ingest/${id}`, ORDER],
  ];
  for (const [path, body] of others) {
    const reply = await send(posthorn, key, body, path);
    t.equal(reply.status, 422, path);
    t.match(reply.json, { type: 'urn:posthorn:problem:idempotency-key-reused', detail: /new key/ });
  }
  t.equal(await webhooks(t, posthorn.databaseUrl), 1);
});

t.test('each tenant has its own keys', async (t) => {
  const posthorn = await startTestService(t);
  t.equal((await posthorn.request('POST', '/v1/tenants', { id: 'acme' })).status, 201);
  const key = randomUUID();
  const ids = await Promise.all(
    ['', '?tenant=acme'].map(async (query) => {
      const { status, json } = await send(posthorn, key, ORDER, `/v1/webhooks${query}`);
      t.equal(status, 202);
      return json.webhook_id;
    }),
  );
  t.not(ids[0], ids[1]);
  const again = await send(posthorn, key, ORDER, '/v1/webhooks?tenant=acme');
  t.equal(again.json.webhook_id, ids[1]);
});

t.test('a refused request does not use its key', async (t) => {
  const posthorn = await startTestService(t);
  const key = randomUUID();
  t.equal((await send(posthorn, key, { event_type: 'not one', data: 1 })).status, 400);
  t.equal((await send(posthorn, key, { ...ORDER, subscription_id: 99 })).status, 404);
  t.equal((await send(posthorn, key)).status, 202);
});

t.test('a text that is not a valid key is refused', async (t) => {
  const posthorn = await startTestService(t);
  for (const key of ['', '"', '"a', '"a"b"', 'é', 'x'.repeat(256), `"${'x'.repeat(256)}"`]) {
    const { status, json } = await send(posthorn, key);
    t.equal(status, 400, key);
    t.match(json.errors, [{ field: 'headers.idempotency-key' }], key);
  }
  t.equal((await send(posthorn, 'x'.repeat(255))).status, 202);
});

t.test('of many concurrent requests to several processes, one is accepted', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const services: TestService[] = [];
  for (let n = 0; n < 3; n++)
    services.push(await startTestService(t, { DATABASE_URL: databaseUrl }));
  const keys = Array.from({ length: 20 }, () => randomUUID());
  const idsOf = new Map<string, Set<string>>(keys.map((key) => [key, new Set()]));
  await Promise.all(
    keys.flatMap((key) =>
      services.flatMap((posthorn) =>
        Array.from({ length: 4 }, async () => {
          const { status, json } = await send(posthorn, key);
          if (status === 409) return;
          t.equal(status, 202);
          idsOf.get(key)?.add(json.webhook_id);
        }),
      ),
    ),
  );
  for (const key of keys) {
    const { status, json } = await send(services[0] as TestService, key);
    t.equal(status, 202);
    idsOf.get(key)?.add(json.webhook_id);
    t.equal(idsOf.get(key)?.size, 1, 'all answers name one webhook');
  }
  t.equal(await webhooks(t, databaseUrl), keys.length);
});

t.test('an open transaction that uses a key blocks only that key', async (t) => {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  const sql = `select posthorn.send('order.created', '{"id": 7}', idempotency_key => $1) as id`;
  const [kept, undone] = [randomUUID(), randomUUID()];

  await client.query('begin');
  const { rows } = await client.query(sql, [kept]);
  const [blocked, ...others] = await Promise.all([
    send(posthorn, kept),
    ...Array.from({ length: 20 }, () => send(posthorn, randomUUID())),
  ]);
  t.match(blocked, { status: 409, json: { type: 'urn:posthorn:problem:request-in-progress' } });
  t.equal(blocked?.headers.get('retry-after'), '1');
  t.ok(others.every(({ status }) => status === 202));
  const second = await connect(t, posthorn.databaseUrl);
  await t.rejects(second.query(sql, [kept]), { code: '55P03', hint: /that transaction has ended/ });
  t.equal((await client.query(sql, [kept])).rows[0].id, rows[0].id, 'it replays its own');
  await client.query('commit');

  t.equal((await second.query(sql, [kept])).rows[0].id, rows[0].id);
  t.equal((await send(posthorn, kept)).status, 422, 'a request by HTTP is another one');
  await t.rejects(
    second.query(`select posthorn.send('order.created', '8', idempotency_key => $1)`, [kept]),
    { code: '23505', hint: /a new key/ },
  );

  await client.query('begin');
  await client.query(sql, [undone]);
  await client.query('rollback');
  t.equal((await send(posthorn, undone)).status, 202, 'what was rolled back used no key');
});

t.test('a transaction with an old snapshot gets a serialization failure', async (t) => {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  const key = randomUUID();
  const sql = `select posthorn.send('order.created', '{"id": 7}', idempotency_key => $1) as id`;
  const times = [
    'now()',
    `date_trunc('day', now() at time zone 'UTC') at time zone 'UTC' - interval '1 second'`,
  ];
  for (const [isolation, dated] of ['repeatable read', 'serializable'].flatMap((isolation) =>
    times.map((time) => [isolation, time] as const),
  )) {
    await client.query(`begin isolation level ${isolation}`);
    await client.query('select from posthorn.subscriptions');
    const other = await connect(t, posthorn.databaseUrl);
    await other.query(sql, [key]);
    // As it is when it was used before midnight, and midnight has passed since.
    await other.query(`update posthorn.idempotency_keys set created_at = ${dated}`);
    await t.rejects(client.query(sql, [key]), { code: '40001' }, `${isolation}, ${dated}`);
    await client.query('rollback');
    await other.query('delete from posthorn.idempotency_keys');
  }
});

t.test(
  'on a first day, transactions with old snapshots and keys do not wait for each other',
  async (t) => {
    const databaseUrl = await createTestDatabase(t);
    const tables = `select count(*)::integer as tables from pg_class where relnamespace = 'posthorn'::regnamespace`;
    const observer = await connect(t, databaseUrl);
    const before = (await observer.query(tables)).rows[0].tables;
    const sql = `select posthorn.send('order.created', '{"id": 7}', idempotency_key => $1) as id`;
    const senders = [];
    for (let n = 0; n < 5; n += 1) {
      const sender = await connect(t, databaseUrl);
      await sender.query(`set lock_timeout = '1s'`);
      await sender.query('begin isolation level repeatable read');
      await sender.query('select from posthorn.subscriptions');
      senders.push(sender);
    }
    for (const [n, sender] of senders.entries()) await sender.query(sql, [`key ${n}`]);
    await Promise.all(senders.map((sender) => sender.query('commit')));
    t.equal(await webhooks(t, databaseUrl), 5);
    t.equal((await observer.query(tables)).rows[0].tables, before, 'no sender creates a table');
  },
);

t.test('a key means the same at every isolation level', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const second = await connect(t, databaseUrl);
  const sql = `select posthorn.send_many('{a.b,a.c}', array[$2, '2']::jsonb[], idempotency_key => $1) as ids`;
  const ids = async (key: string) => (await client.query(sql, [key, '1'])).rows[0].ids;
  for (const isolation of ['read committed', 'repeatable read', 'serializable']) {
    const begin = () => client.query(`begin isolation level ${isolation}`);
    const key = randomUUID();
    await begin();
    const sent = await ids(key);
    t.equal(sent.length, 2, isolation);
    t.strictSame(await ids(key), sent, 'in the same transaction');
    await client.query('savepoint before');
    await t.rejects(client.query(sql, [key, '3']), { code: '23505' }, 'for other webhooks');
    await client.query('rollback to before');
    // An answer at once: it does not wait for the open transaction.
    await second.query(`set statement_timeout = '20s'`);
    for (const other of ['read committed', 'serializable']) {
      await second.query(`begin isolation level ${other}`);
      await t.rejects(second.query(sql, [key, '1']), { code: '55P03' }, `from ${other}`);
      await second.query('rollback');
    }
    await client.query('commit');
    await begin();
    t.strictSame(await ids(key), sent, 'in a later transaction');
    await t.rejects(client.query(sql, [key, '3']), { code: '23505' }, 'for other webhooks');
    await client.query('rollback');

    await client.query(
      `delete from posthorn.idempotency_keys
       where key = $1 and created_at < date_trunc('day', now() at time zone 'UTC') at time zone 'UTC'`,
      [key],
    );
    await client.query(
      `update posthorn.idempotency_keys set created_at = now() - interval '23 hours 59 minutes' where key = $1`,
      [key],
    );
    await begin();
    t.strictSame(await ids(key), sent, 'for 24 hours');
    await client.query('commit');
  }
});

t.test('a key is free again after 24 hours, and its day is dropped', async (t) => {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(
    `select posthorn.create_partition('idempotency_keys', min(from_at) - interval '3 days', min(from_at))
     from posthorn.list_partitions() where parent = 'idempotency_keys'`,
  );
  const key = randomUUID();
  const first = (await send(posthorn, key)).json.webhook_id;
  const age = (by: string) =>
    client.query(`update posthorn.idempotency_keys set created_at = now() - interval '${by}'`);
  await age('23 hours 59 minutes');
  t.equal((await send(posthorn, key)).json.webhook_id, first);
  await age('24 hours 1 minute');
  t.not((await send(posthorn, key)).json.webhook_id, first);

  const oldDays = async () => {
    const { rows } = await client.query(
      `select count(*)::integer from pg_inherits
       where inhparent = 'posthorn.idempotency_keys'::regclass
         and right(inhrelid::regclass::text, 8) < to_char((now() at time zone 'UTC')::date - 1, 'YYYYMMDD')`,
    );
    return rows[0].count;
  };
  t.ok((await oldDays()) > 0);
  await client.query(`select graphile_worker.add_job('keep_partitions')`);
  await until('the days are dropped', async () => (await oldDays()) === 0);
  t.equal((await send(posthorn, key)).status, 202);
});

t.test('a key is stored together with its webhook or not at all, also after a crash', async (t) => {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(`
    create function break_off() returns trigger language plpgsql as $$
    begin raise exception 'broken off' using errcode = '57P01'; end $$;
    create trigger break_off after insert on posthorn.idempotency_keys execute function break_off()`);
  const key = randomUUID();
  t.equal((await send(posthorn, key)).status, 503);
  t.equal(await webhooks(t, posthorn.databaseUrl), 0);
  await client.query('drop function break_off() cascade');
  t.equal((await send(posthorn, key)).status, 202);
  t.equal(await webhooks(t, posthorn.databaseUrl), 1);
});
