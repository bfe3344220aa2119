import type pg from 'pg';
import { pino } from 'pino';
import t from 'tap';
import { createTaskRunner } from '../../src/bulk-operations/run.ts';
import { wakeTasks } from '../../src/bulk-operations/store.ts';
import { createPool } from '../../src/db/pool.ts';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

interface Past {
  readonly subscription: number;
  readonly count: number;
  readonly state: string;
  readonly eventType?: string;
  readonly hoursAgo?: number;
}

/** Deliveries of a while ago, as they would be in the tables. */
async function addPast(client: pg.Client, past: Past): Promise<void> {
  const { subscription, count, state, eventType = null, hoursAgo = 1 } = past;
  const owed = state === 'pending' || state === 'held';
  await client.query(
    `select posthorn.ensure_partitions(((now() - $1 * interval '1 hour') at time zone 'UTC')::date, (now() at time zone 'UTC')::date)`,
    [hoursAgo + 1],
  );
  await client.query(
    `with made as materialized (
       select overlay(posthorn.uuidv7()::text placing
         left(posthorn.uuidv7_floor(now() - $5 * interval '1 hour' + n * interval '1 millisecond')::text, 13) from 1 for 13)::uuid as id
       from generate_series(1, $2::integer) n
     ), payloads as (
       insert into posthorn.webhook_payloads (id, event_type, content_type, body)
       select id, $4, 'application/json', '{}' from made
     ), backlogs as (
       insert into posthorn.backlogs (subscription_id) select $1 where $3 = 'held' on conflict do nothing
     )
     insert into posthorn.deliveries
       (webhook_id, subscription_id, state, attempt_count, next_attempt_at, ended_at, queued)
     select id, $1, $3::posthorn.delivery_state, 1,
       case when $6 then now() + interval '1 hour' end, case when $6 then null else now() end, false
     from made`,
    [subscription, count, state, eventType, hoursAgo, owed],
  );
}

async function ended(posthorn: TestService, path: string, timeoutMs?: number) {
  return await until(
    `${path} has ended`,
    async () => {
      const { json } = await posthorn.request('GET', path);
      return json.ended_at !== null && json;
    },
    timeoutMs,
  );
}

const since = (hoursAgo: number) => new Date(Date.now() - hoursAgo * 3_600_000).toISOString();

async function countBy(client: pg.Client): Promise<Record<string, number>> {
  const { rows } = await client.query(
    'select subscription_id || $1 || state as name, count(*)::integer from posthorn.deliveries group by 1',
    [' '],
  );
  return Object.fromEntries(rows.map(({ name, count }) => [name, count]));
}

t.test(
  'a replay sends failed and cancelled deliveries of a period again, and no others',
  async (t) => {
    const receiver = await startReceiver(t);
    const posthorn = await startTestService(t);
    const [one, other] = [
      await posthorn.subscribe(receiver.url),
      await posthorn.subscribe(receiver.url),
    ];
    const client = await connect(t, posthorn.databaseUrl);
    await addPast(client, { subscription: one, count: 3, state: 'failed', hoursAgo: 2 });
    await addPast(client, { subscription: one, count: 2, state: 'cancelled', hoursAgo: 2 });
    await addPast(client, { subscription: one, count: 4, state: 'succeeded', hoursAgo: 2 });
    await addPast(client, { subscription: one, count: 5, state: 'failed', hoursAgo: 30 });
    await addPast(client, { subscription: other, count: 6, state: 'failed', hoursAgo: 2 });
    const reply = await posthorn.request('POST', `/v1/subscriptions/${one}/replay`, {
      since: since(24),
    });
    t.equal(reply.status, 202);
    t.match(reply.json, {
      kind: 'replay',
      state: 'waiting',
      subscription_id: one,
      states: ['failed', 'cancelled'],
      rate: 100,
    });
    t.equal(reply.headers.get('location'), reply.json.links.self);
    t.match(await ended(posthorn, reply.json.links.self), {
      state: 'succeeded',
      examined: 9,
      changed: 5,
      progress: 1,
    });
    await receiver.waitFor(5);
    await until(
      'they have succeeded',
      async () => (await countBy(client))[`${one} succeeded`] === 9,
    );
    t.strictSame(await countBy(client), {
      [`${one} succeeded`]: 9,
      [`${one} failed`]: 5,
      [`${other} failed`]: 6,
    });
    t.equal(receiver.received.length, 5);
    const { json: list } = await posthorn.request('GET', '/v1/tasks');
    t.match(list, { data: [{ id: reply.json.id, state: 'succeeded' }], next_cursor: null });
  },
);

t.test('a replay can select states and event types; recover sends all that failed', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe(receiver.url);
  const client = await connect(t, posthorn.databaseUrl);
  await addPast(client, {
    subscription: id,
    count: 2,
    state: 'succeeded',
    eventType: 'order.paid',
  });
  await addPast(client, { subscription: id, count: 3, state: 'succeeded', eventType: 'user.gone' });
  await addPast(client, { subscription: id, count: 4, state: 'failed', eventType: 'user.gone' });
  await addPast(client, { subscription: id, count: 5, state: 'cancelled' });
  const replay = await posthorn.request('POST', `/v1/subscriptions/${id}/replay`, {
    since: since(2),
    states: ['succeeded'],
    event_types: ['order.*'],
  });
  t.match(await ended(posthorn, replay.json.links.self), { changed: 2 });
  await receiver.waitFor(2);
  const recover = await posthorn.request('POST', `/v1/subscriptions/${id}/recover`, {
    since: since(2),
  });
  t.match(await ended(posthorn, recover.json.links.self), { kind: 'recover', changed: 4 });
  await receiver.waitFor(6);
  await until('they have succeeded', async () => (await countBy(client))[`${id} succeeded`] === 9);
  t.equal(receiver.received.length, 6);
});

t.test('a replay keeps its rate', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe(receiver.url);
  const client = await connect(t, posthorn.databaseUrl);
  await addPast(client, { subscription: id, count: 60, state: 'failed' });
  const startedAt = Date.now();
  const { json } = await posthorn.request('POST', `/v1/subscriptions/${id}/replay`, {
    since: since(2),
    rate: 20,
  });
  const first = await until('it runs', async () => {
    const task = (await posthorn.request('GET', json.links.self)).json;
    return task.changed > 0 && task;
  });
  t.ok([20, 40].includes(first.changed), `a second of it at a time: ${first.changed}`);
  t.ok(first.progress > 0 && first.progress < 1, `${first.progress}`);
  await ended(posthorn, json.links.self);
  // The batches of the first, the second and the third second, and one that finds no more.
  t.ok(Date.now() - startedAt >= 1_950, `${Date.now() - startedAt} ms`);
  await receiver.waitFor(60);
});

t.test('a task can be cancelled once, and its changes stay', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe(receiver.url);
  const client = await connect(t, posthorn.databaseUrl);
  await addPast(client, { subscription: id, count: 50, state: 'failed' });
  const { json } = await posthorn.request('POST', `/v1/subscriptions/${id}/replay`, {
    since: since(2),
    rate: 1,
  });
  await receiver.waitFor(1);
  const cancelled = await posthorn.request('POST', json.links.cancel);
  t.equal(cancelled.status, 200);
  t.match(cancelled.json, { state: 'cancelled' });
  t.match((await posthorn.request('POST', json.links.cancel)).json, { state: 'cancelled' });
  const { changed } = cancelled.json;
  await until('what it changed has succeeded', async () => {
    return (await countBy(client))[`${id} succeeded`] === changed;
  });
  t.equal((await countBy(client))[`${id} failed`], 50 - changed);

  const done = await posthorn.request('POST', '/v1/deliveries/cancel', { subscription_id: id });
  await ended(posthorn, done.json.links.self);
  const late = await posthorn.request('POST', done.json.links.cancel);
  t.match(late.json, {
    status: 409,
    detail: 'The task has already ended, with the state succeeded, so it cannot be cancelled.',
  });
  const unknown = `/v1/tasks/01890a5d-ac96-774b-bcce-b302099a8057`;
  t.equal((await posthorn.request('GET', unknown)).status, 404);
  t.equal((await posthorn.request('POST', `${unknown}/cancel`)).status, 404);
});

t.test('a task whose job was lost continues from its position', async (t) => {
  const receiver = await startReceiver(t);
  // Without a worker the task waits; a lost job is one that is not there.
  const api = await startTestService(t, { POSTHORN_ROLE: 'api' });
  const id = await api.subscribe(receiver.url);
  const client = await connect(t, api.databaseUrl);
  await addPast(client, { subscription: id, count: 7, state: 'failed' });
  const { json } = await api.request('POST', `/v1/subscriptions/${id}/replay`, { since: since(2) });
  const { rowCount } = await client.query(
    `delete from graphile_worker._private_jobs j using graphile_worker._private_tasks k
     where k.id = j.task_id and k.identifier = 'run_task'`,
  );
  t.equal(rowCount, 1);
  await startTestService(t, { DATABASE_URL: api.databaseUrl });
  const pool = createPool({ connectionString: api.databaseUrl, purpose: 'test', max: 1 });
  t.teardown(() => pool.end());
  t.equal(await wakeTasks(pool, 60_000), 0, 'one that is not overdue is left alone');
  t.equal(await wakeTasks(pool, 0), 1);
  t.match(await ended(api, json.links.self), { state: 'succeeded', changed: 7 });
  await receiver.waitFor(7);
});

t.test('a subscription that is deleted ends its replay', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe(receiver.url);
  const client = await connect(t, posthorn.databaseUrl);
  await addPast(client, { subscription: id, count: 50, state: 'failed' });
  const { json } = await posthorn.request('POST', `/v1/subscriptions/${id}/replay`, {
    since: since(2),
    rate: 1,
  });
  await receiver.waitFor(1);
  await posthorn.request('DELETE', `/v1/subscriptions/${id}`);
  t.match(await ended(posthorn, json.links.self), { state: 'failed', error: /deleted/ });
});

t.test('unfinished deliveries are cancelled by subscription, state, type and time', async (t) => {
  const receiver = await startReceiver(t);
  // No worker but for tasks, or what is held would be sent.
  const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });
  const pool = createPool({ connectionString: posthorn.databaseUrl, purpose: 'test', max: 1 });
  t.teardown(() => pool.end());
  const runner = createTaskRunner({ pool, wakeIn: () => {}, log: pino({ level: 'silent' }) });
  const [one, other] = [
    await posthorn.subscribe(receiver.url),
    await posthorn.subscribe(receiver.url),
  ];
  const client = await connect(t, posthorn.databaseUrl);
  await addPast(client, { subscription: one, count: 3, state: 'pending', eventType: 'order.paid' });
  await addPast(client, { subscription: one, count: 4, state: 'held', eventType: 'order.paid' });
  await addPast(client, { subscription: one, count: 5, state: 'held', hoursAgo: 30 });
  await addPast(client, { subscription: other, count: 6, state: 'held' });
  await addPast(client, { subscription: one, count: 7, state: 'failed' });
  const cancel = async (filter: object) => {
    const { status, json } = await posthorn.request('POST', '/v1/deliveries/cancel', filter);
    t.equal(status, 202);
    await runner.run({ task: json.id, tenant: 'default' });
    return (await ended(posthorn, json.links.self)).changed;
  };
  t.equal(await cancel({ subscription_id: one, event_types: ['user.*'] }), 0);
  t.equal(await cancel({ subscription_id: one, states: ['pending'], event_types: ['order.*'] }), 3);
  t.equal(await cancel({ subscription_id: one, until: since(20) }), 5);
  t.equal(await cancel({ states: ['held'], since: since(20) }), 10);
  t.strictSame(await countBy(client), {
    [`${one} cancelled`]: 12,
    [`${one} failed`]: 7,
    [`${other} cancelled`]: 6,
  });
  t.equal(receiver.received.length, 0);
});

t.test(
  'deleting a subscription with a large backlog answers at once, and nothing is sent',
  async (t) => {
    const receiver = await startReceiver(t);
    const posthorn = await startTestService(t);
    const [one, other] = [
      await posthorn.subscribe(receiver.url),
      await posthorn.subscribe(receiver.url),
    ];
    const client = await connect(t, posthorn.databaseUrl);
    await addPast(client, { subscription: one, count: 3_500, state: 'pending' });
    await addPast(client, { subscription: other, count: 2, state: 'pending' });
    const { status, json } = await posthorn.request('DELETE', `/v1/subscriptions/${one}`);
    t.equal(status, 200);
    t.equal(json.cancelled, 1_000, 'as many as fit into a batch');
    t.match(await ended(posthorn, `/v1/tasks/${json.task}`), {
      kind: 'delete',
      state: 'succeeded',
      subscription_id: one,
      changed: 3_500,
    });
    t.strictSame(await countBy(client), { [`${one} cancelled`]: 3_500, [`${other} pending`]: 2 });
    t.match((await posthorn.request('DELETE', `/v1/subscriptions/${other}`)).json, {
      cancelled: 2,
      task: null,
    });
    t.equal((await posthorn.request('DELETE', `/v1/subscriptions/${other}`)).status, 404);
    t.equal(receiver.received.length, 0);
  },
);

t.test('an invalid task is refused with the reason', async (t) => {
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe('https://example.com');
  const replay = (body: unknown, subscription: unknown = id) =>
    posthorn.request('POST', `/v1/subscriptions/${subscription}/replay`, body);
  for (const [body, field] of [
    [{}, 'body.since'],
    [{ since: 'yesterday' }, 'body.since'],
    [{ since: since(-1) }, 'body.since'],
    [{ since: since(1), until: since(2) }, 'body.since'],
    [{ since: since(1), states: ['pending'] }, 'body.states.0'],
    [{ since: since(1), states: [] }, 'body.states'],
    [{ since: since(1), event_types: ['a b'] }, 'body.event_types.0'],
    [{ since: since(1), rate: 0 }, 'body.rate'],
    [{ since: since(1), speed: 1 }, 'body.speed'],
  ] as const) {
    const { status, json } = await replay(body);
    t.equal(status, 400, JSON.stringify(body));
    t.match(json.errors, [{ field }]);
  }
  t.equal((await replay({ since: since(1) }, 777)).status, 404);
  const cancel = (body: unknown) => posthorn.request('POST', '/v1/deliveries/cancel', body);
  t.match(
    (await cancel({})).json,
    { status: 400, errors: [{ field: 'body' }] },
    'of all, by mistake',
  );
  t.equal((await cancel({ states: ['failed'] })).status, 400);
  t.equal((await cancel({ subscription_id: 777 })).status, 404);
});
