import t from 'tap';
import { createPool } from '../../src/db/pool.ts';
import { skipSome } from '../../src/deliveries/skip.sql.ts';
import { enableSubscription } from '../../src/subscriptions/enable.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { until } from '../helpers/until.ts';

t.test(
  'a skip does not end before a delivery is cancelled that was locked meanwhile',
  async (t) => {
    const databaseUrl = await createTestDatabase(t);
    const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 2 });
    t.teardown(() => pool.end());
    const client = await connect(t, databaseUrl);
    for (const state of ['held', 'pending']) {
      const { rows } = await client.query<{ id: number }>(
        `with subscription as (
         insert into posthorn.subscriptions (url, status) values ('http://a.example/', 'paused') returning id
       )
       insert into posthorn.deliveries (webhook_id, subscription_id, state)
       select posthorn.uuidv7(), id, $1 from subscription returning subscription_id as id`,
        [state],
      );
      const id = rows[0]?.id as number;
      // As recording does, in a transaction that takes a moment.
      await client.query('begin');
      await client.query('select from posthorn.deliveries where subscription_id = $1 for update', [
        id,
      ]);
      const enabling = enableSubscription(pool, 'default', id, 'skip');
      await until('the skip has begun', async () => {
        const { rowCount } = await client.query(
          'select from posthorn.subscriptions where id = $1 and skip_until is not null',
          [id],
        );
        return rowCount === 1;
      });
      t.equal(await skipSome(pool, id), 0, 'it waits for nobody');
      await client.query('rollback');
      t.strictSame(await enabling, { active: true, skipped: 1 }, state);
      const after = await client.query(
        'select state, reason from posthorn.deliveries where subscription_id = $1',
        [id],
      );
      t.strictSame(after.rows, [{ state: 'cancelled', reason: 'skipped' }]);
    }
  },
);
