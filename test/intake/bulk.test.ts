import t from 'tap';
import { createBulkDetector } from '../../src/intake/bulk.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';

t.test(
  'a sender of more than five hundred webhooks within a second or two is bulk, and no other',
  async (t) => {
    let now = 0;
    const detector = createBulkDetector(() => now);
    for (let n = 1; n <= 500; n++) t.notOk(detector.count('default', 1, 1));
    t.ok(detector.count('default', 1, 1));
    t.notOk(detector.count('default', 2, 1), 'another one does not');
    now += 1_500;
    t.ok(detector.count('default', 1, 1), 'and goes on doing so');
    now += 1_000;
    t.notOk(detector.count('default', 1, 1), 'until it stops');
    t.ok(detector.count('default', 'default\norder.created', 501), 'a batch counts by its size');
    now += 60_000;
    t.notOk(detector.count('default', 'default\norder.created', 1), 'and is forgotten');
    for (let n = 1; n <= 2_000; n++) t.notOk(detector.count('acme', `acme\ntype.${n}`, 1));
    t.ok(detector.count('acme', 'acme\nanother', 1), 'nor does it help to use many types');
    t.notOk(detector.count('modest', 'modest\nanother', 1), 'and other tenants do not pay for it');
  },
);

t.test('a single webhook overtakes thousands that were sent to another subscription', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const api = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'api' });
  const crowd = await startReceiver(t);
  const receiver = await startReceiver(t, (response) => {
    before = crowd.received.length;
    response.end();
  });
  let before = -1;
  const subscribe = (url: string, type: string) =>
    api.request('POST', '/v1/subscriptions', { url, event_types: [type] });
  await subscribe(crowd.url, 'many');
  await subscribe(receiver.url, 'one');
  const client = await connect(t, databaseUrl);
  // From SQL in one transaction, and over HTTP one by one and in a batch.
  await client.query('begin');
  for (let n = 0; n < 20; n++)
    await client.query(
      `select posthorn.send_many(array_fill('many'::text, array[100]), array_fill('{}'::jsonb, array[100]))`,
    );
  await client.query('commit');
  const webhooks = Array.from({ length: 1_000 }, () => ({ event_type: 'many', data: {} }));
  await api.request('POST', '/v1/webhooks/batch', { webhooks });
  for (let round = 0; round < 12; round++)
    await Promise.all(
      webhooks.slice(0, 50).map((webhook) => api.request('POST', '/v1/webhooks', webhook)),
    );
  await api.request('POST', '/v1/webhooks', { event_type: 'one', data: {} });
  await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'worker' });
  await receiver.waitFor(1);
  t.ok(before >= 0 && before < 1_200, `after ${before} of 3,600`);
  await crowd.waitFor(3_600);
});
