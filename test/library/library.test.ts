// Posthorn in the process of an application, from its sources; test/package/ runs the installed package.

import pg from 'pg';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { createPosthorn, type PosthornOptions, send } from '../../src/library/index.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';

interface Events {
  'order.created': { id: number; total: number };
  'order.cancelled': { id: number };
}

const log = pino({ level: 'silent' });
const SETTINGS = {
  PORT: '0',
  POSTHORN_ALLOW_NETWORKS: '127.0.0.0/8',
  POSTHORN_MAX_IN_FLIGHT: '100',
  POSTHORN_SHUTDOWN_GRACE: '2s',
};

async function startPosthorn(t: Test, options: PosthornOptions = {}) {
  const databaseUrl = await createTestDatabase(t);
  const posthorn = createPosthorn<Events>({ databaseUrl, settings: SETTINGS, log, ...options });
  await posthorn.start();
  t.teardown(() => posthorn.stop());
  const pool = new pg.Pool({ connectionString: databaseUrl });
  t.teardown(() => pool.end());
  const subscribe = async (body: object) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${posthorn.url}/v1/subscriptions`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    t.equal(answer.status, 201);
    return ((await answer.json()) as { id: number }).id;
  };
  return { posthorn, pool, databaseUrl, subscribe };
}

t.test('a webhook is sent if the transaction of the application commits', async (t) => {
  const receiver = await startReceiver(t);
  const { posthorn, pool, subscribe } = await startPosthorn(t);
  await subscribe({ url: receiver.url, event_types: ['order.*'] });
  const client = await pool.connect();

  await client.query('begin');
  await posthorn.send(client, { eventType: 'order.created', data: { id: 1, total: 1 } });
  await client.query('rollback');
  await client.query('begin');
  const data = { id: 2, total: 12.5 };
  const id = await posthorn.send(client, { eventType: 'order.created', data });
  await client.query('commit');
  client.release();
  const cancelled = { id: 2 };
  const second = await send<Events>(pool, { eventType: 'order.cancelled', data: cancelled });

  const received = await receiver.waitFor(2);
  const byId = new Map(
    received.map(({ headers, body }) => {
      const { type, data } = JSON.parse(body.toString());
      return [headers['webhook-id'], { type, data }];
    }),
  );
  t.same(byId.get(id), { type: 'order.created', data });
  t.same(byId.get(second), { type: 'order.cancelled', data: cancelled });
  const { rows: stored } = await pool.query('select id from webhook_payloads order by id');
  t.same(stored, [{ id }, { id: second }], 'nothing of what was rolled back');
});

t.test('every option of a webhook is that of posthorn.send', async (t) => {
  const receiver = await startReceiver(t);
  const { posthorn, pool, subscribe } = await startPosthorn(t);
  const subscriptionId = await subscribe({ url: receiver.url, event_types: [] });
  const options = {
    eventType: 'order.cancelled',
    tenant: 'default',
    channels: ['shop-7', 'all'],
    orderingKey: 'order 7',
    idempotencyKey: 'once',
    subscriptionId,
    deliverAt: new Date(Date.now() - 1_000),
    headers: { 'x-shop': 'ü', 'x-quote': '"' },
  } as const;
  const id = await posthorn.send(pool, { ...options, data: { id: 7 } });
  const [request] = await receiver.waitFor(1);
  t.match(request?.headers, { 'webhook-id': id, 'x-quote': '"' });
  const { rows } = await pool.query(
    'select channels, ordering_key from posthorn.webhook_payloads where id = $1',
    [id],
  );
  t.match(rows, [{ channels: ['shop-7', 'all'], ordering_key: 'order 7' }]);
  t.equal(await posthorn.send(pool, { ...options, data: { id: 7 } }), id, 'sent only once');
  await t.rejects(posthorn.send(pool, { ...options, tenant: 'nobody', data: { id: 7 } }), /nobody/);
});

t.test('what the types do not allow does not compile', async (t) => {
  const posthorn = createPosthorn<Events>({ databaseUrl: 'postgres://127.0.0.1:1/x', log });
  const pool = new pg.Pool({ connectionString: 'postgres://127.0.0.1:1/x' });
  // @ts-expect-error: the data of another type
  t.rejects(posthorn.send(pool, { eventType: 'order.created', data: { id: 1 } }));
  // @ts-expect-error: a type that the application does not have
  t.rejects(posthorn.send(pool, { eventType: 'order.shipped', data: { id: 1 } }));
  // @ts-expect-error: a setting that does not exist
  t.throws(() => createPosthorn({ settings: { POSTHORN_RETENTOIN: '7d' } }), /POSTHORN_RETENTION/);
  await t.rejects(send(pool, { eventType: 'any.type', data: 'of anything' }));
});

t.test('it can be stopped, and started again', async (t) => {
  const { posthorn, pool, subscribe } = await startPosthorn(t);
  await t.rejects(posthorn.start(), /Call stop\(\) first/);
  const { url } = posthorn;
  await posthorn.stop();
  await posthorn.stop();
  t.throws(() => posthorn.url, /Call start\(\) first/);
  await t.rejects(fetch(url));
  const receiver = await startReceiver(t);
  await posthorn.start();
  await subscribe({ url: receiver.url, event_types: ['order.*'] });
  await posthorn.send(pool, { eventType: 'order.cancelled', data: { id: 1 } });
  await receiver.waitFor(1);
});

t.test('a stop ends a start that is under way', async (t) => {
  const databaseUrl = await createTestDatabase(t, { migrated: false });
  const posthorn = createPosthorn({ databaseUrl, settings: SETTINGS, log });
  const started = t.rejects(posthorn.start(), /stopped while it started/);
  await posthorn.stop();
  await started;
  t.throws(() => posthorn.databaseUrl, /Call start\(\) first/);
});

t.test('a start that fails says what to do, and can be tried again', async (t) => {
  const nowhere = createPosthorn({ databaseUrl: 'postgres://127.0.0.1:9/x', log });
  await t.rejects(nowhere.start(), /No Postgres answers at 127\.0\.0\.1:9/);
  await t.rejects(nowhere.start(), /No Postgres answers at 127\.0\.0\.1:9/);
  await nowhere.stop();
});

t.test('settings of the application are not those of Posthorn', async (t) => {
  process.env.POSTHORN_RETENTION = 'wrong';
  t.teardown(() => {
    delete process.env.POSTHORN_RETENTION;
  });
  t.doesNotThrow(() => createPosthorn());
  t.throws(() => createPosthorn({ settings: { POSTHORN_RETENTION: '1' } }), /POSTHORN_RETENTION/);
  const several = { POSTHORN_PROCESSES: '2' };
  t.throws(() => createPosthorn({ settings: several }), /POSTHORN_PROCESSES .*posthorn start/);
});
