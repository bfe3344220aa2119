import t from 'tap';
import { findProbes } from '../../src/backlog/find-probes.sql.ts';
import { createPool } from '../../src/db/pool.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';

t.test('probes of an open circuit', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 1 });
  t.teardown(() => pool.end());
  const { rows } = await client.query<{ id: number }>(
    `insert into posthorn.subscriptions (url, ordering) values
      ('http://a.example/', 'none'), ('http://b.example/', 'strict') returning id`,
  );
  const [any, strict] = rows.map(({ id }) => id) as [number, number];

  /** Holds a delivery, and returns its webhook's id. Those held later have greater ids. */
  async function hold(subscriptionId: number, key: string | null = null, dueInS = 0) {
    const { rows: held } = await client.query<{ id: string }>(
      `with w as (
         insert into posthorn.webhook_payloads (id, tenant, content_type, body, ordering_key)
         values (posthorn.uuidv7(), 'default', 'application/json', '{}', $2) returning id)
       insert into posthorn.deliveries (webhook_id, subscription_id, state, queued, next_attempt_at)
       select id, $1, 'held', false, now() + $3 * interval '1 second' from w returning webhook_id as id`,
      [subscriptionId, key, dueInS],
    );
    return (held[0] as { id: string }).id;
  }
  /** Finds the next probe, and counts it as one that failed. */
  async function probe(subscriptionId: number, strictly: boolean) {
    const found = await findProbes(pool, [{ subscriptionId, strict: strictly }]);
    const id = found.get(subscriptionId);
    await client.query(
      'update posthorn.deliveries set probe_count = probe_count + 1 where webhook_id = $1',
      [id],
    );
    return id;
  }
  async function probes(count: number, subscriptionId: number, strictly: boolean) {
    const found: (string | undefined)[] = [];
    for (let n = 0; n < count; n++) found.push(await probe(subscriptionId, strictly));
    return found;
  }

  await t.test('are of the oldest deliveries in turn, and of none that is due later', async (t) => {
    t.equal(await probe(any, false), undefined, 'nothing is held');
    const first = await hold(any);
    await hold(any, null, 3_600);
    const second = await hold(any);
    t.strictSame(await probes(5, any, false), [first, second, first, second, first]);
    const third = await hold(any);
    t.strictSame(await probes(2, any, false), [third, third], 'a newer one catches up');
  });

  await t.test('are the oldest of their ordering key where the order is strict', async (t) => {
    const a = await hold(strict, 'a');
    await hold(strict, 'a');
    await hold(strict, 'b', 3_600);
    await hold(strict, 'b');
    const c = await hold(strict, 'c');
    t.strictSame(await probes(4, strict, true), [a, c, a, c]);
  });

  await t.test('of several subscriptions are found at once', async (t) => {
    const found = await findProbes(pool, [
      { subscriptionId: any, strict: false },
      { subscriptionId: strict, strict: true },
      { subscriptionId: 2_000_000, strict: false },
    ]);
    t.strictSame([...found.keys()].toSorted(), [any, strict]);
  });
});
