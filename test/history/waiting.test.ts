import t from 'tap';
import { connect } from '../helpers/database.ts';
import { startTestService } from '../helpers/service.ts';

const NOTHING = {
  due: 0,
  due_more: false,
  oldest_due_at: null,
  held: {
    paused: 0,
    disabled: 0,
    circuit_open: 0,
    ordering: 0,
    rate_limit: 0,
    receiver_busy: 0,
    pull: 0,
  },
  held_more: false,
  workers: 0,
};

/** Adds deliveries of one subscription that wait, without a worker that sends them. */
const ADD = `
  with made as (
    insert into posthorn.webhook_payloads (tenant, content_type, body)
    select tenant, 'application/json', '{}' from posthorn.subscriptions, generate_series(1, $3::integer) where id = $1
    returning id
  ), backlog as (
    insert into posthorn.backlogs (subscription_id) select $1 where $2 = 'held' on conflict do nothing
  )
  insert into posthorn.deliveries (webhook_id, subscription_id, state, next_attempt_at)
  select id, $1, $2::posthorn.delivery_state, now() + $4::interval from made`;

t.test('GET /v1/stats/queue counts what waits, by the reason, for its tenant', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });
  const client = await connect(t, posthorn.databaseUrl);
  const ask = async (query = '') => {
    const { status, json, text } = await posthorn.request('GET', `/v1/stats/queue${query}`);
    t.equal(status, 200, text);
    return json;
  };
  t.strictSame(await ask(), NOTHING);

  await client.query(`insert into posthorn.tenants (id) values ('other')`);
  const subscribe = async (columns: Record<string, unknown> = {}) => {
    const all = { url: 'http://127.0.0.1:9/', event_types: [], ...columns };
    const { rows } = await client.query<{ id: number }>(
      `insert into posthorn.subscriptions (${Object.keys(all)})
       values (${Object.keys(all).map((_, n) => `$${n + 1}`)}) returning id`,
      Object.values(all),
    );
    return rows[0]?.id;
  };
  const add = async (
    subscription: number | undefined,
    state: 'pending' | 'held',
    count: number,
    due = '-1 minute',
  ) => client.query(ADD, [subscription, state, count, due]);

  const active = await subscribe();
  await add(active, 'pending', 3, '-2 minutes');
  await add(active, 'pending', 2, '1 hour');
  await add(active, 'held', 1);
  await add(await subscribe({ status: 'paused' }), 'held', 2);
  await add(await subscribe({ status: 'disabled' }), 'held', 3);
  await add(await subscribe({ circuit_open: true }), 'held', 4);
  await add(await subscribe({ ordering: 'strict' }), 'held', 5);
  await add(await subscribe({ max_in_flight: 1 }), 'held', 6);
  await add(await subscribe({ url: null }), 'held', 8);
  const foreign = await subscribe({ tenant: 'other' });
  await add(foreign, 'held', 7);
  await add(foreign, 'pending', 8);
  await client.query(
    `insert into posthorn.workers (pool_id, host, pid, seen_at)
     values ('living', 'here', 1, clock_timestamp()), ('gone', 'here', 2, clock_timestamp() - interval '5 minutes')`,
  );

  const { oldest_due_at, ...counts } = await ask();
  t.strictSame(counts, {
    due: 3,
    due_more: false,
    held: {
      paused: 2,
      disabled: 3,
      circuit_open: 4,
      ordering: 5,
      rate_limit: 6,
      receiver_busy: 1,
      pull: 8,
    },
    held_more: false,
    workers: 1,
  });
  t.ok(Date.now() - Date.parse(oldest_due_at) >= 110_000, oldest_due_at);
  t.match(await ask('?tenant=other'), { due: 8, held: { paused: 0, receiver_busy: 7 } });

  await add(active, 'held', 12_000);
  t.match(await ask(), { held: { receiver_busy: 10_000, paused: 2 }, held_more: true });
});
