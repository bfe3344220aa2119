import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import t from 'tap';
import { POOL_PLANS } from '../../src/db/planner.ts';
import { createPool } from '../../src/db/pool.ts';
import { loadOwed } from '../../src/deliveries/load.sql.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { TOLD_MS, until } from '../helpers/until.ts';

const MIB = 1024 * 1024;

/** Subscribes a tenant of its own, for a type of its own. */
async function subscribe(posthorn: TestService, url: string, more: object = {}): Promise<number> {
  const { status, json, text } = await posthorn.request('POST', '/v1/subscriptions', {
    url,
    event_types: [],
    ...more,
  });
  if (status !== 201) throw new Error(text);
  return json.id;
}

/** What an earlier version accepted, when nothing bounded it: a webhook, owed, with its job. */
const OWE = `
  with payload as (
    insert into posthorn.webhook_payloads (tenant, event_type, content_type, body)
    values ('default', 'big', 'application/json', convert_to('"' || repeat(md5(random()::text), $2 / 32) || '"', 'UTF8'))
    returning id, length(body) as bytes
  ), owed as (
    insert into posthorn.deliveries (webhook_id, subscription_id, state, queued)
    select id, $1, $3::posthorn.delivery_state, $3 = 'pending' from payload
  ), job as (
    select graphile_worker.add_job('deliver', json_build_object('attempt', 1, 'bytes', bytes,
      'webhooks', json_build_array(id), 'subscriptions', json_build_array($1::integer)), max_attempts => 32767)
    from payload where $3 = 'pending'
  )
  select id, (select count(*) from job) from payload`;

async function attemptsOf(posthorn: TestService, webhookId: string) {
  const { json } = await posthorn.request('GET', `/v1/webhooks/${webhookId}`);
  return json.deliveries[0] as {
    state: string;
    attempts: { status: string; error_code: string; error: string; response_code: null }[];
  };
}

t.test(
  'a body that nobody can load holds up no other, and is set aside with the reason',
  async (t) => {
    const receiver = await startReceiver(t);
    const databaseUrl = await createTestDatabase(t);
    const first = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'api' });
    const big = await subscribe(first, `${receiver.url}/big`);
    const held = await subscribe(first, `${receiver.url}/held`, { max_in_flight: 1 });
    const small = await subscribe(first, `${receiver.url}/small`);
    const client = await connect(t, databaseUrl);
    const owe = async (subscription: number, state = 'pending'): Promise<string> =>
      (await client.query(OWE, [subscription, 144_000_000, state])).rows[0].id;
    const owed = [await owe(big), await owe(held, 'held')];
    const later = await subscribe(first, `${receiver.url}/later`, { retry_schedule: '1h' });
    const cancelled = await owe(later);
    const ids = [await first.ingest(small), await first.ingest(held), await first.ingest(big)];

    const posthorn = await startTestService(t, { DATABASE_URL: databaseUrl });
    const requests = await receiver.waitFor(3, TOLD_MS);
    t.strictSame(requests.map(({ headers }) => headers['webhook-id']).sort(), ids.sort());
    for (const id of owed) {
      const delivery = await until('its attempts are used up', async () => {
        const found = await attemptsOf(posthorn, id);
        return found.state === 'failed' && found;
      });
      t.equal(delivery.attempts.length, 3);
      for (const attempt of delivery.attempts) {
        t.match(attempt, {
          status: 'failed',
          error_code: 'payload_unreadable',
          response_code: null,
        });
        t.match(attempt.error, /^Not sent: its body has 144000002 bytes, .*33554432/);
      }
      const shown = await posthorn.request('GET', `/v1/webhooks/${id}?include=body`);
      t.equal(shown.status, 400);
      t.match(shown.json.errors, [{ field: 'query.include', message: /144000002 bytes/ }]);
    }
    await posthorn.request('POST', '/v1/deliveries/cancel', { subscription_id: later });
    await until('the other one is cancelled', async () => {
      const { state, attempts } = await attemptsOf(posthorn, cancelled);
      return state === 'cancelled' && attempts.length === 1;
    });
    t.equal(receiver.received.length, 3);
    t.match((await posthorn.request('GET', `/v1/subscriptions/${big}/health`)).json, {
      circuit: { state: 'closed' },
    });
  },
);

t.test(
  'large bodies arrive as they were sent, to one and to many, by the queue and when held',
  async (t) => {
    const receiver = await startReceiver(t);
    const posthorn = await startTestService(t, { POSTHORN_MAX_BODY: '8MiB' });
    for (const path of ['a', 'b', 'c', 'd'])
      await subscribe(posthorn, `${receiver.url}/${path}`, {
        event_types: ['large'],
        ...(path === 'd' ? { max_in_flight: 1 } : {}),
      });
    const texts = [60_000, 65_400, 65_600, 1_000_000, 7 * MIB].map((length, n) =>
      String.fromCharCode(97 + n).repeat(length),
    );
    for (const data of texts)
      t.equal(
        (await posthorn.request('POST', '/v1/webhooks', { event_type: 'large', data })).status,
        202,
      );
    const requests = await receiver.waitFor(4 * texts.length);
    for (const path of ['/a', '/b', '/c', '/d'])
      t.strictSame(
        requests
          .filter((request) => request.path === path)
          .map(({ body }) => JSON.parse(body.toString()).data)
          .sort(),
        texts,
      );
  },
);

t.test('large bodies on their way to receivers that hang hold up no small one', async (t) => {
  const open: ServerResponse[] = [];
  const hanging = createServer((request, response) => {
    request.resume();
    open.push(response);
  });
  hanging.listen(0, '127.0.0.1');
  await once(hanging, 'listening');
  t.teardown(() => {
    hanging.closeAllConnections();
    hanging.close();
  });
  const { port } = hanging.address() as { port: number };
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t, { POSTHORN_MAX_BODY: '16MiB' });
  const slow = await Promise.all(
    [1, 2, 3].map((n) => subscribe(posthorn, `http://127.0.0.1:${port}/${n}`)),
  );
  const small = await subscribe(posthorn, receiver.url);
  for (const id of slow) await posthorn.ingest(id, 'x'.repeat(15 * MIB).replace(/^|$/g, '"'));
  // A second one would leave too little of the memory of large bodies to other tenants.
  await until('the first is on its way', () => open.length === 1);
  for (let n = 0; n < 20; n++) await posthorn.ingest(small);
  await receiver.waitFor(20, TOLD_MS);
  t.equal(open.length, 1);
});

t.test(
  'payloads that cannot be read are set aside, and those beside them are loaded',
  async (t) => {
    const databaseUrl = await createTestDatabase(t);
    const client = await connect(t, databaseUrl);
    const pool = createPool({
      connectionString: databaseUrl,
      purpose: 'test',
      max: 4,
      timeoutMs: 500,
      settings: POOL_PLANS.delivery,
    });
    t.teardown(() => pool.end());
    // Bodies that Postgres fails at, or takes for ever over, as in a damaged file; their sizes it knows.
    await client.query(`
    create function public.read(body bytea) returns bytea language plpgsql as $$
    begin
      if current_query() !~ 'then (p[.])?body' then return body; end if;
      if body = 'broken' then raise exception 'missing chunk number 0' using errcode = 'data_corrupted'; end if;
      if body = 'slow' then perform pg_sleep(5); end if;
      return body;
    end $$`);
    const { rows: subscriptions } = await client.query(
      `insert into posthorn.subscriptions (url) values ('http://a.example/') returning id`,
    );
    const subscription = subscriptions[0].id as number;
    const bodies = ['1', 'broken', '2', '3', 'slow', '4', '5'];
    const webhooks: string[] = [];
    for (const body of bodies) {
      const { rows } = await client.query(
        `insert into posthorn.webhook_payloads (content_type, body) values ('text/plain', $1) returning id`,
        [Buffer.from(body)],
      );
      webhooks.push(rows[0].id);
      await client.query(
        'insert into posthorn.deliveries (webhook_id, subscription_id) values ($1, $2)',
        [rows[0].id, subscription],
      );
    }
    const erased = webhooks[6] as string;
    await client.query('update posthorn.webhook_payloads set body = null where id = $1', [erased]);
    await client.query('alter table posthorn.webhook_payloads rename to stored_payloads');
    await client.query(
      `create view posthorn.webhook_payloads as
     select id, tenant, content_type, headers, case when body is not null then public.read(body) end as body
     from posthorn.stored_payloads`,
    );
    const keys = { webhooks, subscriptions: webhooks.map(() => subscription) };
    const owed = await loadOwed(pool, keys);
    const problems = new Map(owed.map(({ webhookId, problem }) => [webhookId, problem]));
    t.equal(owed.length, bodies.length);
    t.match(problems.get(webhooks[1] as string), /could not be read.*missing chunk/);
    t.match(problems.get(webhooks[4] as string), /could not be read.*statement timeout/);
    t.match(problems.get(erased), /was erased/);
    for (const nth of [0, 2, 3, 5]) t.equal(problems.get(webhooks[nth] as string), null);
  },
);
