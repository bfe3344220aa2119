// POST /v1/subscriptions/{id}/replay-latest: the latest webhooks are sent to a subscription again.
import t from 'tap';
import { connect } from '../helpers/database.ts';
import { subscribeAs } from '../helpers/health.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

/** Sends webhooks one after another, and returns their ids. */
async function send(posthorn: TestService, webhooks: readonly object[]): Promise<string[]> {
  const ids: string[] = [];
  for (const webhook of webhooks) {
    const { status, json, text } = await posthorn.request('POST', '/v1/webhooks', webhook);
    if (status !== 202) throw new Error(text);
    ids.push(json.webhook_id);
  }
  return ids;
}

const replay = (posthorn: TestService, id: number, body: object, tenant = 'default') =>
  posthorn.request('POST', `/v1/subscriptions/${id}/replay-latest?tenant=${tenant}`, body);

/** Pulls what is due, and acknowledges it. */
async function take(posthorn: TestService, id: number) {
  const path = `/v1/subscriptions/${id}`;
  const { json } = await posthorn.request('GET', `${path}/pull?wait=0s&batch=100`);
  const results = json.deliveries.map(({ token }: { token: string }) => ({
    token,
    result: 'delivered',
  }));
  if (results.length > 0) await posthorn.request('POST', `${path}/acknowledge`, { results });
  return json.deliveries.map(({ webhook_id, attempt_number }: Record<string, unknown>) => [
    webhook_id,
    attempt_number,
  ]);
}

t.test('the latest webhooks are sent to a subscription again', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  const alone = await subscribeAs(posthorn, { url: receiver.url, event_types: [] });
  const orders = await send(
    posthorn,
    [0, 1, 2, 3, 4].map((n) => ({
      event_type: 'order.created',
      data: { n },
      ...(n === 3 ? { channels: ['blue'] } : {}),
    })),
  );
  const [user = ''] = await send(posthorn, [{ event_type: 'user.created', data: {} }]);
  await posthorn.ingest(alone);
  await receiver.waitFor(1);
  await send(posthorn, [
    {
      event_type: 'order.created',
      data: {},
      deliver_at: new Date(Date.now() + 3_600_000),
    },
  ]);

  await t.test('one that was just created gets them, the oldest first', async (t) => {
    const id = await subscribeAs(posthorn, { url: null, event_types: ['order.*'] });
    const reply = await replay(posthorn, id, { last: 3 });
    t.match(reply, {
      status: 200,
      json: { due: 3, webhook_ids: orders.slice(2).toReversed() },
    });
    t.match(
      (await replay(posthorn, id, { last: 3 })).json,
      { due: 0, webhook_ids: orders.slice(2).toReversed() },
      'what waits is left as it is',
    );
    t.strictSame(
      await take(posthorn, id),
      orders.slice(2).map((webhook) => [webhook, 1]),
    );
    const { json } = await posthorn.request('GET', `/v1/webhooks/${orders[4]}`);
    t.match(json.deliveries, [
      { subscription_id: id, state: 'succeeded', attempts: [{ status: 'success' }] },
    ]);
    t.match((await replay(posthorn, id, { last: 1 })).json, { due: 1 });
    t.strictSame(await take(posthorn, id), [[orders[4], 2]], 'its attempts are counted on');
  });

  await t.test('it gets what it would get by its types, channels and filter', async (t) => {
    for (const [fields, wanted] of [
      [{}, [...orders, user]],
      [{ event_types: [] }, []],
      [{ channels: ['blue'] }, [orders[3]]],
      [{ filter: '$.n > 2' }, orders.slice(3)],
      [{ event_types: ['posthorn.*'] }, []],
    ] as const) {
      const id = await subscribeAs(posthorn, { url: null, ...fields });
      const { json } = await replay(posthorn, id, { last: 100 });
      t.strictSame(json.webhook_ids.toReversed(), wanted, JSON.stringify(fields));
    }
    const id = await subscribeAs(posthorn, { url: null });
    const own = await posthorn.ingest(id);
    await take(posthorn, id);
    t.strictSame(
      (await replay(posthorn, id, { last: 2 })).json.webhook_ids,
      [own, user],
      'and what was sent to it alone',
    );
    t.strictSame(
      (await replay(posthorn, id, { last: 2, event_types: ['user.*'] })).json.webhook_ids,
      [user],
    );
  });

  await t.test('a receiver with a URL gets them too, also those of a day before', async (t) => {
    const { rows } = await client.query(
      `select posthorn.uuidv7_floor(now() - interval '30 hours') as id,
         posthorn.ensure_partitions(((now() - interval '31 hours') at time zone 'UTC')::date, (now() at time zone 'UTC')::date)`,
    );
    await client.query(
      `insert into posthorn.webhook_payloads (id, event_type, content_type, body)
       values ($1, 'old.one', 'application/json', '{}')`,
      [rows[0].id],
    );
    const [young = ''] = await send(posthorn, [{ event_type: 'old.one', data: {} }]);
    const id = await subscribeAs(posthorn, { url: receiver.url, event_types: ['old.*'] });
    const before = receiver.received.length;
    t.match((await replay(posthorn, id, { last: 5 })).json, {
      due: 2,
      webhook_ids: [young, rows[0].id],
    });
    await until('both are delivered', async () => {
      const { json } = await posthorn.request('GET', `/v1/deliveries?subscription_id=${id}`);
      return json.data.every(({ state }: { state: string }) => state === 'succeeded');
    });
    const came = receiver.received.slice(before).map(({ headers }) => headers['webhook-id']);
    t.strictSame(came.sort(), [young, rows[0].id].sort());

    await client.query('update posthorn.webhook_payloads set body = null where id = $1', [young]);
    t.strictSame(
      (await replay(posthorn, id, { last: 5 })).json.webhook_ids,
      [rows[0].id],
      'a body that is deleted cannot be sent',
    );
  });

  await t.test('a tenant gets only its own, and a wrong request says what is right', async (t) => {
    await posthorn.request('POST', '/v1/tenants', { id: 'acme' });
    const { json: theirs } = await posthorn.request('POST', '/v1/subscriptions?tenant=acme', {
      url: null,
    });
    t.strictSame((await replay(posthorn, theirs.id, { last: 9 }, 'acme')).json, {
      due: 0,
      webhook_ids: [],
    });
    t.equal((await replay(posthorn, theirs.id, { last: 9 })).status, 404);
    for (const [body, detail] of [
      [{}, /body.last/],
      [{ last: 0 }, /body.last/],
      [{ last: 101 }, /body.last/],
      [{ last: 1, event_types: ['a b'] }, /body.event_types.0/],
    ] as const) {
      const reply = await replay(posthorn, alone, body);
      t.equal(reply.status, 400);
      t.match(reply.json.detail, detail);
    }
  });
});
