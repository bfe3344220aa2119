import type pg from 'pg';
import t, { type Test } from 'tap';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const DAY_S = 86_400;

async function start(t: Test, env: Record<string, string> = {}) {
  const posthorn = await startTestService(t, env);
  const receiver = await startReceiver(t);
  const client = await connect(t, posthorn.databaseUrl);
  const create = async (more: object = {}): Promise<number> => {
    const { status, text, json } = await posthorn.request('POST', '/v1/subscriptions', {
      url: receiver.url,
      event_types: ['order.*'],
      ...more,
    });
    t.equal(status, 201, text);
    return json.id;
  };
  const overHttp = (seconds: number, more: object = {}) =>
    posthorn.request('POST', '/v1/webhooks', {
      event_type: 'order.created',
      data: 1,
      deliver_at: inSeconds(seconds),
      ...more,
    });
  const bySql = async (seconds: number): Promise<string> =>
    (
      await client.query(
        `select posthorn.send('order.created', '1', deliver_at => now() + $1 * interval '1 second') as id`,
        [seconds],
      )
    ).rows[0].id;
  const show = async (id: string) => (await posthorn.request('GET', `/v1/webhooks/${id}`)).json;
  const cancel = (id: string) => posthorn.request('POST', `/v1/webhooks/${id}/cancel`);
  return { posthorn, receiver, client, create, overHttp, bySql, show, cancel };
}

const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString();

async function deliveriesOf(client: pg.Client, id: string) {
  const { rows } = await client.query<{
    state: string;
    queued: boolean;
    handed: boolean;
    in_s: number;
  }>(
    `select state, queued, handed_to is not null as handed,
       extract(epoch from next_attempt_at - now())::float8 as in_s
     from posthorn.deliveries where webhook_id = $1 order by subscription_id`,
    [id],
  );
  return rows;
}

t.test(
  'a webhook that is scheduled for soon is delivered at its time, and not before',
  async (t) => {
    const { posthorn, receiver, client, create, overHttp, bySql, show } = await start(t);
    await create();
    const askedAt = Date.now();
    const { status, json, text } = await overHttp(4);
    t.equal(status, 202, text);
    const id = await bySql(4);
    for (const webhook of [json.webhook_id, id]) {
      const [delivery] = await deliveriesOf(client, webhook);
      t.match(delivery, { state: 'pending', queued: true, handed: false });
      const shown = await show(webhook);
      t.ok(Math.abs(Date.parse(shown.deliver_at) - askedAt - 4_000) < 3_000, shown.deliver_at);
    }
    const { json: listed } = await posthorn.request('GET', '/v1/webhooks');
    t.ok(
      listed.data.every((webhook: { deliver_at: string | null }) => webhook.deliver_at !== null),
    );
    const received = await receiver.waitFor(2);
    for (const { at, headers } of received) {
      const due = Date.parse((await show(headers['webhook-id'] as string)).deliver_at);
      t.ok(at >= due - 5, `it came ${at - due} ms after its time`);
    }
    const { rows } = await until('both are recorded', async () => {
      const report = await client.query<{ s: number }>(
        `select extract(epoch from total_time)::float8 as s from posthorn.delivery_report where state = 'succeeded'`,
      );
      return report.rowCount === 2 && report;
    });
    for (const { s } of rows)
      t.ok(s < (Date.now() - askedAt) / 1000 - 3.5, `total_time counts from deliver_at: ${s} s`);
  },
);

t.test('a webhook that is scheduled for later has no job until its time is near', async (t) => {
  const { posthorn, receiver, client, create, overHttp, bySql } = await start(t);
  await create();
  const { json } = await overHttp(3_600);
  const id = await bySql(10 * DAY_S);
  for (const webhook of [json.webhook_id, id])
    t.match(await deliveriesOf(client, webhook), [
      { state: 'pending', queued: false, handed: false },
    ]);
  t.equal((await client.query('select from graphile_worker._private_jobs')).rowCount, 0);
  const { json: stats } = await posthorn.request('GET', '/v1/stats');
  t.match(stats, { queue_depth: 0, oldest_due_at: null, retrying: 0, accepted: 2 });
  // The time comes near. The waker looks every 15 s.
  await client.query(
    `update posthorn.deliveries set next_attempt_at = now() + interval '2 seconds' where webhook_id = $1`,
    [json.webhook_id],
  );
  const [request] = await receiver.waitFor(1);
  t.equal(request?.headers['webhook-id'], json.webhook_id);
});

t.test('times in the past mean now; times more than 30 days ahead are refused', async (t) => {
  const { posthorn, client, overHttp } = await start(t);
  for (const [seconds, status] of [
    [-60, 202],
    [30 * DAY_S - 60, 202],
    [30 * DAY_S + 60, 400],
  ] as const) {
    const answer = await overHttp(seconds);
    t.equal(answer.status, status, `${seconds} s: ${answer.text}`);
    if (status === 400)
      t.match(answer.json.errors, [{ field: 'body.deliver_at', message: /30 days/ }]);
  }
  for (const deliver_at of ['0000-01-01T00:00:00Z', '2020-01-01t00:00:00+14:00'])
    t.equal((await overHttp(0, { deliver_at })).status, 202, deliver_at);
  for (const deliver_at of [
    '9999-12-31T23:59:59Z',
    '2026-01-31',
    '2026-01-31T12:00:00',
    'infinity',
    1,
    null,
  ])
    t.equal((await overHttp(0, { deliver_at })).status, 400, String(deliver_at));
  const batch = (deliver_at: string) =>
    posthorn.request('POST', '/v1/webhooks/batch', {
      webhooks: [
        { event_type: 'a', data: 1 },
        { event_type: 'a', data: 1, deliver_at },
      ],
    });
  t.match((await batch(inSeconds(31 * DAY_S))).json.errors, [
    { field: 'body.webhooks.1.deliver_at' },
  ]);
  t.equal((await batch(inSeconds(3_600))).status, 202);
  const { rows } = await client.query(
    'select deliver_at from posthorn.webhook_payloads order by id desc limit 2',
  );
  t.ok(rows[0].deliver_at !== null && rows[1].deliver_at === null);

  const deliverAt = async (value: string) => {
    const sent = await client.query(
      `select posthorn.send('order.created', '1', deliver_at => ${value}) as id`,
    );
    const stored = await client.query(
      'select deliver_at from posthorn.webhook_payloads where id = $1',
      [sent.rows[0].id],
    );
    return stored.rows[0].deliver_at;
  };
  for (const past of ['null', `'-infinity'`, `now() - interval '1 year'`, 'now()'])
    t.equal(await deliverAt(past), null, past);
  for (const late of [`'infinity'`, `now() + interval '30 days 1 minute'`])
    await t.rejects(deliverAt(late), { code: '22023', hint: /30 days/ });
  await t.rejects(
    client.query(
      `select posthorn.send_many('{a,b}', '{1,2}', deliver_at => now() + interval '31 days')`,
    ),
    { code: '22023' },
  );
});

t.test(
  'a subscription whose deliveries are held gets a scheduled webhook when it is due',
  async (t) => {
    const { receiver, client, create, bySql } = await start(t);
    await create({ max_in_flight: 1 });
    const later = await bySql(3_600);
    const soon = await bySql(2);
    for (const id of [later, soon]) t.match(await deliveriesOf(client, id), [{ state: 'pending' }]);
    const [request] = await receiver.waitFor(1);
    t.equal(request?.headers['webhook-id'], soon);
    t.match(await deliveriesOf(client, later), [{ state: 'pending', queued: false }]);
  },
);

t.test('a scheduled webhook is matched when it is accepted', async (t) => {
  const { posthorn, receiver, create, bySql } = await start(t);
  const paused = await create();
  await bySql(2);
  await create();
  await posthorn.request('PATCH', `/v1/subscriptions/${paused}`, { event_types: ['other'] });
  const [request] = await receiver.waitFor(1);
  t.ok(request !== undefined);
  t.equal(receiver.received.length, 1);
});

t.test(
  'cancelling a webhook cancels its deliveries, may be repeated, and is not for what has ended',
  async (t) => {
    const { posthorn, receiver, client, create, bySql, overHttp, cancel, show } = await start(t);
    await create();
    const held = await create({ max_in_flight: 1 });
    await posthorn.request('POST', `/v1/subscriptions/${held}/pause`);
    const id = await bySql(3_600);
    for (let nth = 0; nth < 2; nth++)
      t.match(await cancel(id), { status: 200, json: { webhook_id: id, cancelled: 2 } });
    t.match(
      (await show(id)).deliveries.map(({ state }: { state: string }) => state),
      ['cancelled', 'cancelled'],
    );
    const { rows } = await client.query('select total_time::text from posthorn.delivery_report');
    t.ok(rows.every(({ total_time }) => !total_time.startsWith('-')));
    // One has succeeded, the other is held.
    const { json } = await overHttp(-1);
    await receiver.waitFor(1);
    await until('it is recorded', async () =>
      (await deliveriesOf(client, json.webhook_id)).some(({ state }) => state === 'succeeded'),
    );
    t.match(await cancel(json.webhook_id), { status: 200, json: { cancelled: 1 } });
    await posthorn.request('DELETE', `/v1/subscriptions/${held}`);
    const ended = (await overHttp(-1)).json.webhook_id;
    await until('it is delivered', async () =>
      (await deliveriesOf(client, ended)).every(({ state }) => state === 'succeeded'),
    );
    t.match(await cancel(ended), { status: 409, json: { type: 'urn:posthorn:problem:conflict' } });
    t.equal((await cancel('01890a5d-ac96-774b-bcce-b302099a8057')).status, 404);
    t.equal((await cancel('nonsense')).status, 400);
    const none = (await overHttp(3_600, { event_type: 'nobody' })).json.webhook_id;
    t.match(await cancel(none), { status: 200, json: { cancelled: 0 } });
  },
);

t.test(
  'enabling a subscription with backlog skip leaves webhooks that are due later',
  async (t) => {
    const { posthorn, client, create, bySql } = await start(t);
    const id = await create();
    const later = await bySql(3_600);
    await posthorn.request('POST', `/v1/subscriptions/${id}/pause`);
    const missed = await bySql(-1);
    const { status, text } = await posthorn.request('POST', `/v1/subscriptions/${id}/enable`, {
      backlog: 'skip',
    });
    t.equal(status, 200, text);
    t.match(await deliveriesOf(client, missed), [{ state: 'cancelled' }]);
    t.match(await deliveriesOf(client, later), [{ state: 'pending' }]);
  },
);

t.test('scheduled webhooks beside others neither delay them nor are handed over', async (t) => {
  const { receiver, client, create, overHttp } = await start(t);
  await create();
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, nth) => overHttp(nth % 2 === 0 ? -1 : 3_600)),
  );
  t.ok(answers.every(({ status }) => status === 202));
  await receiver.waitFor(30);
  const { rows } = await client.query(
    `select state, queued, handed_to, count(*)::integer from posthorn.deliveries
     where next_attempt_at > now() group by 1, 2, 3`,
  );
  t.strictSame(rows, [{ state: 'pending', queued: false, handed_to: null, count: 30 }]);
});

t.test('an idempotency key with another time is another call', async (t) => {
  const { client } = await start(t);
  const send = (hours: number) =>
    client.query(
      `select posthorn.send('order.created', '1', idempotency_key => 'k',
         deliver_at => date_trunc('day', now()) + $1 * interval '1 day') as id`,
      [hours],
    );
  const first = await send(2);
  t.strictSame((await send(2)).rows, first.rows);
  await t.rejects(send(3), { code: '23505' });
});
