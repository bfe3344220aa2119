import t from 'tap';
import { createPool } from '../../src/db/pool.ts';
import { BACKLOG_CHANNEL } from '../../src/deliveries/backlogs.sql.ts';
import { cancelDeliveries } from '../../src/deliveries/cancel.sql.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { until } from '../helpers/until.ts';

t.test('the owners of a thousand backlogs are notified, in few notifications', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 1 });
  t.teardown(() => pool.end());
  // Ids of ten digits: together they are longer than a notification may be.
  const { rows } = await pool.query<{ webhook: string; subscription: number }>(
    `with subscriptions as (
       insert into posthorn.subscriptions (id, url, max_in_flight) overriding system value
       select 2000000000 + n, 'http://a.example/', 1 from generate_series(1, 1000) n
       returning id
     )
     insert into posthorn.deliveries (webhook_id, subscription_id, state)
     select posthorn.uuidv7(), id, 'held' from subscriptions
     returning webhook_id as webhook, subscription_id as subscription`,
  );
  const listener = await connect(t, databaseUrl);
  const payloads: string[] = [];
  listener.on('notification', ({ payload = '' }) => payloads.push(payload));
  await listener.query(`listen ${BACKLOG_CHANNEL}`);
  const cancelled = await cancelDeliveries(pool, {
    webhooks: rows.map(({ webhook }) => webhook),
    subscriptions: rows.map(({ subscription }) => subscription),
  });
  t.equal(cancelled, 1_000);
  const told = () => new Set(payloads.flatMap((payload) => payload.split(','))).size;
  await until('all are notified', () => told() === 1_000);
  t.ok(payloads.length < 10, `${payloads.length} notifications`);
});
