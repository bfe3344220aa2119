import t from 'tap';
import { POOL_PLANS } from '../../src/db/planner.ts';
import { createPool } from '../../src/db/pool.ts';
import { holdDeliveries } from '../../src/deliveries/hold.sql.ts';
import { loadOwed } from '../../src/deliveries/load.sql.ts';
import { acceptWebhooks } from '../../src/intake/accept.sql.ts';
import { createTestDatabase } from '../helpers/database.ts';

t.test(
  'what is loaded is looked up by its key, however little was owed when that was planned',
  async (t) => {
    const pool = createPool({
      connectionString: await createTestDatabase(t),
      purpose: 'test',
      // Plans are of a connection.
      max: 1,
      settings: POOL_PLANS.delivery,
    });
    t.teardown(() => pool.end());
    const { rows } = await pool.query<{ id: number }>(
      `insert into posthorn.subscriptions (url)
       select 'http://a.example/' from generate_series(1, 20) returning id`,
    );
    const ids = rows.map(({ id }) => id);
    const accept = async (count: number) => {
      const accepted = await acceptWebhooks(
        pool,
        Array.from({ length: count }, (_, n) => ({
          subscriptionId: ids[n % ids.length] as number,
          tenant: 'default',
          eventType: null,
          channels: null,
          orderingKey: null,
          contentType: 'application/json',
          body: Buffer.from('{}'),
          dataStart: 0,
          idempotency: null,
        })),
        { bulk: false, apart: false },
      );
      return accepted.map((one) => (one as { id: string }).id);
    };
    // A calm day: many ended, none is owed, and Postgres knows.
    for (let n = 0; n < 10; n++) await accept(200);
    await pool.query(
      `update posthorn.deliveries set state = 'succeeded', ended_at = now(), next_attempt_at = null`,
    );
    await pool.query('vacuum analyze posthorn.deliveries');

    const webhooks = await accept(10);
    const subscriptions = ids.slice(0, 10);
    const owed = await loadOwed(pool, { webhooks, subscriptions });
    t.equal(owed.length, 10);
    await holdDeliveries(pool, owed);
    t.equal((await loadOwed(pool, { webhooks, subscriptions }, 'held')).length, 10);

    const bounds = `'${webhooks[0]}', '${webhooks.at(-1)}'`;
    for (const statement of [
      `"load-pending"(null, ${bounds}, null)`,
      `"load-held"(null, ${bounds}, null)`,
      `hold(null, null, null, ${bounds})`,
    ]) {
      const plan = (await pool.query(`explain execute ${statement}`)).rows
        .map((row) => row['QUERY PLAN'] as string)
        .join('\n');
      // By the index of all that is owed it would be a filter.
      t.match(plan, /Index Cond: \(\(webhook_id = ANY/, statement);
    }
  },
);
