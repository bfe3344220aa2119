import t from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';

t.test(
  'a webhook is accepted when it is sent, however long ago its transaction began',
  async (t) => {
    const client = await connect(t, await createTestDatabase(t));
    await client.query(
      `insert into posthorn.subscriptions (url, event_types) values ('http://a.example/', '{order.*}')`,
    );
    for (const to of ['', ', subscription_id => 1', ', idempotency_key => $$a key$$']) {
      await client.query('begin');
      // So that the transaction is some milliseconds old.
      await client.query('select count(*) from generate_series(1, 200000)');
      await client.query(`select set_config('test.before', clock_timestamp()::text, true)`);
      await client.query(`select posthorn.send('order.paid', '1'${to})`);
      const { rows } = await client.query(
        `select
         accepted_at >= date_trunc('milliseconds', current_setting('test.before')::timestamptz) as at_the_call,
         accepted_at = posthorn.uuidv7_time(id) as as_its_id
       from posthorn.webhook_payloads order by id desc limit 1`,
      );
      await client.query('commit');
      t.strictSame(rows, [{ at_the_call: true, as_its_id: true }], to);
    }
  },
);
