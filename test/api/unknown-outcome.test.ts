import t, { type Test } from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { type Reply, startTestService } from '../helpers/service.ts';
import { startTcpForwarder } from '../helpers/tcp-forwarder.ts';
import { until } from '../helpers/until.ts';

const NOTHING = {
  status: 503,
  json: { type: 'urn:posthorn:problem:unavailable', detail: /Nothing was accepted; send it again/ },
};
const UNKNOWN = {
  status: 503,
  json: {
    type: 'urn:posthorn:problem:outcome-unknown',
    detail: /The webhook may have been accepted.*Idempotency-Key/,
  },
};

const ANSWERED = { event_type: 'order.created', data: 1 };

/** An API whose connections to the database can fail, and a client with a direct connection. */
async function start(t: Test) {
  const databaseUrl = await createTestDatabase(t);
  const forwarder = await startTcpForwarder(t, databaseUrl);
  const posthorn = await startTestService(t, { DATABASE_URL: forwarder.url, POSTHORN_ROLE: 'api' });
  const id = await posthorn.subscribe('http://127.0.0.1:9/');
  const client = await connect(t, databaseUrl);
  const count = async () => {
    const { rows } = await client.query(
      'select count(*)::integer as stored from posthorn.webhook_payloads',
    );
    return rows[0].stored;
  };
  // News of a subscription make it be looked up again, and come in their order: once those of another one
  // are here, there are none on their way.
  const toAnother = () => posthorn.request('POST', `/ingest/${id + 1}`, { n: 0 });
  t.equal((await toAnother()).status, 404);
  await client.query(`insert into posthorn.subscriptions (url) values ('http://127.0.0.1:9/')`);
  await until('the other one is known', async () => (await toAnother()).status === 202);
  // Batches have a connection of their own.
  await posthorn.request('POST', '/v1/webhooks/batch', { webhooks: [ANSWERED] });
  const others = await count();
  const stored = async () => (await count()) - others;
  // From here on the subscription is known, and what is asked of event types, and what is asked of the
  // database is to take webhooks.
  await posthorn.ingest(id, { n: 0 });
  await posthorn.request('POST', '/v1/webhooks', ANSWERED);
  const ingest = (n: number) => posthorn.request('POST', `/ingest/${id}`, { n });
  return { databaseUrl, forwarder, posthorn, id, client, stored, ingest };
}

const kinds: [
  what: string,
  request: (id: number) => [path: string, body: unknown],
  webhooks: number,
][] = [
  ['a webhook', (id) => [`/ingest/${id}`, { n: 1 }], 1],
  ['a webhook that is sent', () => ['/v1/webhooks', ANSWERED], 1],
  ['a batch', () => ['/v1/webhooks/batch', { webhooks: [ANSWERED, ANSWERED] }], 2],
];
// What they wait for is the time that a statement may take, which is the same for all.
t.jobs = kinds.length + 2;

for (const [what, request, webhooks] of kinds) {
  t.test(`${what} whose commit got no answer is said to be perhaps accepted`, async (t) => {
    const { forwarder, posthorn, id, ingest, stored } = await start(t);
    forwarder.dropAnswers(true);
    const answer = await posthorn.request('POST', ...request(id));
    t.match(answer, UNKNOWN);
    t.equal(answer.headers.get('retry-after'), '1');
    t.equal(await stored(), 2 + webhooks, 'and it was');
    // From now on it is known that nothing answers, and nothing is sent, by intake or before it.
    t.match(await posthorn.request('POST', ...request(id)), {
      status: 503,
      json: { type: NOTHING.json.type },
    });
    forwarder.dropAnswers(false);
    await until('webhooks are accepted again', async () => (await ingest(3)).status === 202);
    t.equal(await stored(), 3 + webhooks, 'nothing that was said not to be accepted was');
  });
}

t.test('after a lost connection during the statement, the outcome is unknown', async (t) => {
  const { databaseUrl, forwarder, ingest } = await start(t);
  const locking = await connect(t, databaseUrl);
  await locking.query('begin');
  await locking.query('lock table posthorn.webhook_payloads in access exclusive mode');
  const looking = await connect(t, databaseUrl);
  const waiting = (query: string) =>
    looking.query(
      `select ${query} from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock' and query like '%posthorn.accept%'`,
    );
  const lost = ingest(1);
  await until('it waits', async () => (await waiting('pid')).rowCount === 1);
  forwarder.close(true);
  t.match(await lost, UNKNOWN);
  t.match(
    await ingest(2),
    { status: 503, json: { type: NOTHING.json.type } },
    'without a connection nothing can have happened',
  );
  forwarder.close(false);
  // Postgres does not notice that the connection is gone.
  await waiting('pg_terminate_backend(pid)');
  await until('nothing waits', async () => (await waiting('pid')).rowCount === 0);

  let terminated: Reply | undefined;
  await until('another one waits', async () => {
    void ingest(3).then((answer) => {
      if (answer.status === 503 && /:outcome-unknown/.test(answer.text)) terminated = answer;
    });
    return await until(
      'it waits',
      async () => ((await waiting('pg_terminate_backend(pid)')).rowCount ?? 0) > 0,
      1_000,
    );
  });
  await until('it is answered', () => terminated);
  t.match(terminated, UNKNOWN, 'what was ended by an administrator may have been too late');
  await locking.query('rollback');
});

t.test('an error of Postgres means that nothing was accepted', async (t) => {
  const { client, ingest, stored } = await start(t);
  const { rows } = await client.query('select current_database() as name');
  await client.query(`alter database ${rows[0].name} set default_transaction_read_only = on`);
  // The connections of before can still write. Until they are gone, nothing is asked of them.
  await client.query(
    `select pg_terminate_backend(pid, 20000) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid()`,
  );
  await until('the service has noticed', async () => {
    return /:unavailable/.test((await ingest(1)).text);
  });
  t.match(await ingest(2), NOTHING);
  t.equal(await stored(), 2);
  await client.query('set default_transaction_read_only = off');
  await client.query(`alter database ${rows[0].name} reset default_transaction_read_only`);
});
