// One tenant, whatever it asks for, stops nobody else.
import { connect as connectTo } from 'node:net';
import t, { type Test } from 'tap';
import { connect } from '../helpers/database.ts';
import { type Reply, startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

/** A service with two tenants, each with a way to make requests as itself. */
async function startWithTwo(t: Test) {
  const posthorn = await startTestService(t);
  await posthorn.request('POST', '/v1/tenants', { id: 'greedy' });
  await posthorn.request('POST', '/v1/tenants', { id: 'modest' });
  const as = (tenant: string) => async (method: string, path: string, body?: unknown) =>
    await posthorn.request(method, `${path}?tenant=${tenant}`, body);
  const client = await connect(t, posthorn.databaseUrl);
  return { posthorn, client, greedy: as('greedy'), modest: as('modest') };
}

type As = Awaited<ReturnType<typeof startWithTwo>>['greedy'];

const send = (as: As, data: unknown): Promise<Reply> =>
  as('POST', '/v1/webhooks', { event_type: 'order.created', data });
const statuses = (replies: Reply[]) => [...new Set(replies.map(({ status }) => status))];

t.test("a tenant's filters never make another's webhooks wait for long, or fail", async (t) => {
  const { client, greedy, modest } = await startWithTwo(t);
  await client.query(
    `insert into posthorn.subscriptions (url, tenant, filter)
     select 'http://127.0.0.1:9/', 'greedy',
       '$[*] ? (@ == 1 || @ == 2 || @ == 3 || @ == 4 || @ == 5 || @ == 6 || @ == 7)'
     from generate_series(1, 40)`,
  );
  await modest('POST', '/v1/subscriptions', { url: 'http://127.0.0.1:9/' });
  // Each just within what one webhook may cost: together, seconds of a core.
  const heavy = Array.from({ length: 8 }, () => send(greedy, Array(10_000).fill(8)));
  let pending = true;
  void Promise.allSettled(heavy).then(() => {
    pending = false;
  });
  const since = performance.now();
  for (let round = 0; round < 3; round++) {
    const light = await Promise.all(Array.from({ length: 10 }, (_, n) => send(modest, n)));
    t.strictSame(statuses(light), [202]);
  }
  t.ok(pending, `done in ${Math.round(performance.now() - since)} ms, before the others`);
  t.ok(
    (await Promise.all(heavy)).every(({ status }) => status === 202 || status === 503),
    'the greedy ones are accepted too, or told to come back',
  );
});

t.test("a tenant's fan-out to thousands is accepted, and counts", async (t) => {
  const { client, greedy } = await startWithTwo(t);
  await client.query(
    `insert into posthorn.subscriptions (url, tenant, status)
     select 'http://127.0.0.1:9/', 'greedy', 'paused' from generate_series(1, 6000)`,
  );
  const replies = await Promise.all([1, 2, 3].map((n) => send(greedy, n)));
  t.strictSame(
    replies.map(({ status, json }) => [status, json.deliveries]),
    Array(3).fill([202, 6000]),
  );
});

t.test(
  "a tenant's batches to thousands of subscriptions delay another tenant once, for seconds",
  { timeout: 600_000 },
  async (t) => {
    const { client, greedy, modest } = await startWithTwo(t);
    await client.query(
      `insert into posthorn.subscriptions (url, tenant, status)
     select 'http://127.0.0.1:9/', 'greedy', 'paused' from generate_series(1, 3000)`,
    );
    const batch = (as: As, length: number) =>
      as('POST', '/v1/webhooks/batch', {
        webhooks: Array.from({ length }, () => ({ event_type: 'order.created', data: 1 })),
      });
    // Three million deliveries each, which no statement gets done in its time.
    const heavy = Array.from({ length: 2 }, () => batch(greedy, 1000));
    let pending = true;
    void Promise.race(heavy).then(() => {
      pending = false;
    });
    t.equal((await batch(modest, 1)).status, 202);
    for (let round = 0; round < 5; round++) t.equal((await batch(modest, 10)).status, 202);
    t.ok(pending, 'before the first of the heavy ones has ended');
    t.match(await Promise.all(heavy), Array(2).fill({ status: 503 }));
  },
);

t.test("an error in a tenant's webhooks does not affect webhooks of other tenants", async (t) => {
  const { client, greedy, modest } = await startWithTwo(t);
  await client.query(`
    create function posthorn.refuse_greedy() returns trigger language plpgsql as
      $$ begin raise exception 'no' using errcode = '22000'; end $$;
    create trigger refuse_greedy before insert on posthorn.webhook_payloads
      for each row when (new.tenant = 'greedy') execute function posthorn.refuse_greedy()`);
  const replies = await Promise.all(
    Array.from({ length: 40 }, (_, n) => send(n % 2 === 0 ? greedy : modest, n)),
  );
  t.strictSame(statuses(replies.filter((_, n) => n % 2 === 0)), [503]);
  t.strictSame(statuses(replies.filter((_, n) => n % 2 === 1)), [202]);
});

t.test('a tenant that reads as much as it can leaves connections for others', async (t) => {
  const { client, greedy, modest } = await startWithTwo(t);
  await send(greedy, { total: 1 });
  // As slow as a statement can be: until it is cancelled.
  await client.query(`
    create or replace function posthorn.webhook_data(body bytea, event_type text) returns jsonb
      language sql volatile as 'select pg_sleep(60); select null::jsonb'`);
  const slow = Array.from({ length: 12 }, () =>
    greedy('POST', '/v1/filters/test', { filter: '$.total > 1' }),
  );
  let pending = true;
  void Promise.race(slow).then(() => {
    pending = false;
  });
  for (let round = 0; round < 5; round++) {
    t.equal((await modest('GET', '/v1/subscriptions')).status, 200);
    t.equal((await modest('GET', '/v1/deliveries')).status, 200);
    t.equal((await modest('POST', '/v1/filters/test', { filter: '$.total > 1' })).status, 200);
  }
  t.equal((await send(modest, 1)).status, 202);
  t.ok(pending, "others' answers come before the first of the slow ones");
  t.match(await Promise.all(slow.slice(0, 3)), Array(3).fill({ status: 503 }), 'and they end');
});

t.test('requests whose clients are gone take no connection from others', async (t) => {
  const { posthorn, client, greedy, modest } = await startWithTwo(t);
  await send(greedy, { total: 1 });
  await client.query(`
    create or replace function posthorn.webhook_data(body bytea, event_type text) returns jsonb
      language sql volatile as 'select pg_sleep(60); select null::jsonb'`);
  const sleeping = async () =>
    (
      await client.query(
        `select count(*)::integer as n from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`,
      )
    ).rows[0].n;
  const body = '{"filter":"$.total > 1"}';
  const sockets = Array.from({ length: 40 }, () => {
    const socket = connectTo(Number(new URL(posthorn.url).port), '127.0.0.1');
    socket.on('error', () => {});
    socket.write(
      `POST /v1/filters/test?tenant=greedy HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    return socket;
  });
  await until('some of them run', async () => (await sleeping()) > 0);
  for (const socket of sockets) socket.destroy();
  // Their turns end with their statements, which are cancelled after some seconds.
  await until('none of them runs any more', async () => {
    t.equal((await modest('GET', '/v1/deliveries')).status, 200);
    t.equal((await modest('POST', '/v1/filters/test', { filter: '$.total > 1' })).status, 200);
    const running = await sleeping();
    if (running > 4) t.fail(`${running} run at once`);
    return running === 0;
  });
});

t.test('a tenant that changes as much as it can leaves connections for others', async (t) => {
  const { posthorn, greedy, modest } = await startWithTwo(t);
  const url = 'http://127.0.0.1:9/';
  const { id } = (await greedy('POST', '/v1/subscriptions', { url })).json;
  // Each change waits for this one, until it is cancelled.
  const locker = await connect(t, posthorn.databaseUrl);
  await locker.query('begin');
  await locker.query('select from posthorn.subscriptions where id = $1 for update', [id]);
  const slow = Array.from({ length: 12 }, () =>
    greedy('PATCH', `/v1/subscriptions/${id}`, { description: 'again' }),
  );
  let pending = true;
  void Promise.race(slow).then(() => {
    pending = false;
  });
  for (let round = 0; round < 5; round++) {
    t.equal((await modest('POST', '/v1/subscriptions', { url })).status, 201);
    t.equal((await modest('GET', '/v1/subscriptions')).status, 200);
    t.equal((await modest('GET', '/v1/deliveries')).status, 200);
  }
  t.ok(pending, "others' answers come before the first of the slow ones");
  await locker.query('rollback');
  await Promise.all(slow);
});

t.test('a tenant that does not read its answers keeps no turns and little memory', async (t) => {
  const { posthorn, client, greedy, modest } = await startWithTwo(t);
  await client.query(
    `insert into posthorn.subscriptions (url, tenant, status, metadata)
     select 'http://127.0.0.1:9/', 'greedy', 'paused',
       (select jsonb_object_agg(k, repeat('x', 1000)) from generate_series(1, 50) k)
     from generate_series(1, 300)`,
  );
  const { hostname, port } = new URL(posthorn.url);
  const sockets = Array.from({ length: 40 }, () => connectTo(Number(port), hostname).pause());
  for (const socket of sockets) {
    t.teardown(() => socket.destroy());
    socket.write(
      'GET /v1/subscriptions?limit=300&tenant=greedy HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n',
    );
  }
  await until(
    'no more is answered',
    async () => (await greedy('GET', '/v1/subscriptions')).status === 429,
  );
  for (let round = 0; round < 5; round++)
    t.equal((await modest('GET', '/v1/subscriptions')).status, 200);
  for (const socket of sockets) socket.destroy();
  await until(
    'its clients are gone, and it may ask again',
    async () => (await greedy('GET', '/v1/event-types')).status === 200,
  );
});

t.test('a tenant can have at most twenty unfinished tasks', async (t) => {
  const { posthorn, greedy, modest } = await startWithTwo(t);
  // They cannot be worked on, as if there was very much to do.
  const locker = await connect(t, posthorn.databaseUrl);
  await locker.query('begin; lock table posthorn.deliveries in access exclusive mode');
  const cancel = (as: As) => as('POST', '/v1/deliveries/cancel', { event_types: ['a'] });
  for (let n = 0; n < 20; n++) t.equal((await cancel(greedy)).status, 202);
  const refused = await cancel(greedy);
  t.match(refused, { status: 409, json: { detail: /20 tasks/ } });
  t.equal((await cancel(modest)).status, 202);
  t.equal((await modest('GET', '/v1/subscriptions')).status, 200, 'nor do they take connections');
  await locker.query('rollback');
});

t.test("a tenant's tasks leave a turn to those of another", async (t) => {
  const { posthorn, greedy, modest } = await startWithTwo(t);
  for (const as of [greedy, modest]) {
    await as('POST', '/v1/subscriptions', { url: 'http://127.0.0.1:9/' });
    await send(as, 1);
  }
  const list = async (as: As) => (await as('GET', '/v1/tasks')).json.data as { state: string }[];
  const cancel = (as: As) => as('POST', '/v1/deliveries/cancel', { event_types: ['*'] });
  const locker = await connect(t, posthorn.databaseUrl);
  await locker.query('begin');
  await locker.query(
    `select from posthorn.deliveries d join posthorn.subscriptions s on s.id = d.subscription_id
     where s.tenant = 'greedy' for update of d`,
  );
  const watcher = await connect(t, posthorn.databaseUrl);
  const waitingTasks = async () => {
    const { rows } = await watcher.query(
      `select count(*)::integer as count from pg_stat_activity
       where datname = current_database() and application_name like '%tasks' and wait_event_type = 'Lock'`,
    );
    return rows[0].count as number;
  };
  for (let n = 0; n < 20; n++) t.equal((await cancel(greedy)).status, 202);
  await until('one waits for the lock', async () => (await waitingTasks()) > 0);
  t.equal((await cancel(modest)).status, 202);
  let most = 0;
  await until('the task of the other is done', async () => {
    most = Math.max(most, await waitingTasks());
    return (await list(modest))[0]?.state === 'succeeded';
  });
  t.equal(most, 1, 'tasks of one tenant at once');
  await locker.query('rollback');
});

t.test('a page of large subscriptions ends early, and the next ones have the rest', async (t) => {
  const { client, posthorn } = await startWithTwo(t);
  await client.query(
    `insert into posthorn.subscriptions (url, tenant, metadata)
     select 'http://127.0.0.1:9/', 'greedy', (select jsonb_object_agg(k, repeat('x', 1000)) from generate_series(1, 50) as k)
     from generate_series(1, 200)`,
  );
  const seen: number[] = [];
  let path: string | null = '/v1/subscriptions?tenant=greedy&limit=1000';
  for (let pages = 0; path !== null; pages++) {
    const { text, json } = await posthorn.request('GET', path);
    t.ok(text.length < 6 * 1024 * 1024, `${text.length} characters`);
    seen.push(...json.data.map(({ id }: { id: number }) => id));
    path =
      json.next_cursor === null
        ? null
        : `/v1/subscriptions?tenant=greedy&limit=1000&cursor=${json.next_cursor}`;
    if (pages > 20) throw new Error('the pages have no end');
  }
  t.equal(new Set(seen).size, 200);
  t.equal(seen.length, 200);
});
