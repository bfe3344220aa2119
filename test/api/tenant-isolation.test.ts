import t, { type Test } from 'tap';
import { connect } from '../helpers/database.ts';
import { listOperations, type Operation } from '../helpers/operations.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const ADMIN_KEY = 'an admin key of some length';
const admin = { authorization: `Bearer ${ADMIN_KEY}` };
/** In all that the other tenant has; nobody else may ever see it. */
const CANARY = 'canary-7b1e';

type Ids = Readonly<Record<string, string | number>>;

const ZERO = '00000000-0000-0000-0000-000000000000';
/** An id of the event stream from which on all events follow. */
const ALL_EVENTS = `${ZERO}.${ZERO}.0.0.0.0.0`;

/** Ids that there are not. A new kind of id in a path, a query or a body needs a line here and below. */
const NOBODYS: Ids = {
  subscription_id: 77_001,
  webhook_id: '01890a5d-ac96-774b-bcce-b302099a8057',
  delivery_id: '01890a5d-ac96-774b-bcce-b302099a8057.77001',
  attempt_number: 1,
  event_type: 'type.of.nobody',
  task_id: '01890a5d-ac96-774b-bcce-b302099a8057',
  tenant_id: 'nobody',
  key_id: 77_002,
  watch_id: 77_003,
  backfill_id: 77_004,
  after: ALL_EVENTS,
};

/** A tenant that has one of everything, and the ids of it: numbers that nothing else has. */
async function furnish(t: Test, posthorn: TestService, tenant: string): Promise<Ids> {
  const receiver = await startReceiver(t, (response) => {
    response.statusCode = 500;
    response.end(CANARY);
  });
  const ask = async (method: string, path: string, body?: unknown) => {
    const reply = await posthorn.request(method, path, body, admin);
    if (reply.status >= 300) throw new Error(`${method} ${path}: ${reply.status} ${reply.text}`);
    return reply.json;
  };
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(`
    alter table posthorn.subscriptions alter id restart with 88001;
    alter table posthorn.keys alter id restart with 88002`);
  const { id: subscription_id } = await ask('POST', `/v1/subscriptions?tenant=${tenant}`, {
    url: `${receiver.url}/${CANARY}`,
    description: CANARY,
    signature_scheme: 'ed25519',
  });
  const has = new Set(
    (await listOperations(posthorn)).map(({ method, path }) => `${method} ${path}`),
  );
  const event_type = `type.of.${tenant}`;
  if (has.has('POST /v1/event-types')) {
    await ask('POST', `/v1/event-types?tenant=${tenant}`, {
      name: event_type,
      description: CANARY,
    });
  }
  const task = await ask('POST', `/v1/subscriptions/${subscription_id}/replay?tenant=${tenant}`, {
    since: new Date(0).toISOString(),
    event_types: [CANARY],
  });
  await until('the task has ended', async () => {
    return (await ask('GET', `/v1/tasks/${task.id}?tenant=${tenant}`)).ended_at !== null;
  });
  const { webhook_id } = await ask('POST', `/v1/webhooks?tenant=${tenant}`, {
    event_type,
    data: CANARY,
  });
  const { id: key_id } = await ask('POST', '/v1/keys', { scopes: ['read'], tenant, name: CANARY });
  await client.query('alter sequence posthorn.watch_ids restart with 8803');
  await client.query('create table watched (id integer)');
  const { rows } = await client.query<{ id: number }>(
    `select posthorn.watch('watched', tenant => $1, "when" => $2) as id`,
    [tenant, `'${CANARY}' <> ''`],
  );
  const watch_id = rows[0]?.id ?? 0;
  await client.query('alter table posthorn.backfill_runs alter id restart with 88004');
  const { id: backfill_id } = await ask('POST', `/v1/watches/${watch_id}/backfills`, {
    where: `'${CANARY}' <> ''`,
  });
  await until('an attempt is recorded', async () => {
    const { deliveries } = await ask('GET', `/v1/webhooks/${webhook_id}?tenant=${tenant}`);
    return deliveries[0].attempts.length === 1;
  });
  return {
    subscription_id,
    webhook_id,
    delivery_id: `${webhook_id}.${subscription_id}`,
    attempt_number: 1,
    event_type,
    task_id: task.id,
    tenant_id: tenant,
    key_id,
    watch_id,
    backfill_id,
    after: ALL_EVENTS,
  };
}

/** Lists may be asked for a type that others have too: that names nothing of theirs. */
const isId = (name: string) => name === 'id' || name.endsWith('_id');

/** The id of that name, or an error that says what this test has to learn. */
function pick(ids: Ids, name: string, { method, path }: Operation): string | number {
  // The first system's bodies call a subscription's id so.
  const id = ids[name === 'id' ? 'subscription_id' : name];
  if (id === undefined) throw new Error(`${method} ${path}: this test has no ${name} to try`);
  return id;
}

interface Call {
  readonly what: string;
  /** Whether an id is in the path: then there is no answer but 404. */
  readonly byPath: boolean;
  readonly call: (ids: Ids) => Promise<Reply>;
}

/** Every way to name something in a call of an operation: in its path, its query or its body. */
function waysToName(
  operation: Operation,
  ask: (method: string, path: string, body: unknown) => Promise<Reply>,
): Call[] {
  const { method, path, parameters, fields, example } = operation;
  const at = (ids: Ids) =>
    path.replaceAll(/\{(\w+)\}/g, (_whole, name: string) => String(pick(ids, name, operation)));
  const calls: Call[] = [];
  if (path.includes('{'))
    calls.push({ what: 'path', byPath: true, call: (ids) => ask(method, at(ids), example) });
  for (const { name } of parameters.filter((one) => one.in === 'query' && isId(one.name))) {
    calls.push({
      what: `?${name}=`,
      byPath: false,
      call: (ids) => ask(method, `${at(ids)}?${name}=${pick(ids, name, operation)}`, example),
    });
  }
  for (const name of fields.filter(isId)) {
    calls.push({
      what: `body.${name}`,
      byPath: false,
      call: (ids) =>
        ask(method, at(ids), { ...(example as object), [name]: pick(ids, name, operation) }),
    });
  }
  return calls;
}

/** An answer without the ids that were asked for, and without what no two answers have alike. */
function normalised({ status, text }: Reply, ids: Ids): string {
  let rest = text;
  for (const id of Object.values(ids))
    rest = rest.replaceAll(new RegExp(`(?<![\\w-])${id}(?![\\w-])`, 'g'), '<id>');
  return `${status} ${rest.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')}`;
}

/** All that there is of a tenant, to see that nobody has touched it. */
async function everythingOf(t: Test, posthorn: TestService, tenant: string): Promise<string> {
  const client = await connect(t, posthorn.databaseUrl);
  const { rows } = await client.query(
    `select
       (select jsonb_agg(s order by id) from posthorn.subscriptions s where tenant = $1) as subscriptions,
       (select count(*) from posthorn.webhook_payloads where tenant = $1) as webhooks,
       (select jsonb_agg(d order by webhook_id) from posthorn.deliveries d
         join posthorn.subscriptions s on s.id = d.subscription_id where s.tenant = $1) as deliveries,
       (select jsonb_agg(a order by id) from posthorn.tasks a where tenant = $1) as tasks,
       (select jsonb_agg(k order by id) from posthorn.keys k where tenant = $1) as keys,
       (select jsonb_agg(x) from posthorn.tenants x where id = $1) as tenant`,
    [tenant],
  );
  return JSON.stringify(rows[0], null, 1);
}

for (const asker of ['acme', 'default']) {
  t.test(`the key of ${asker} finds nothing of another tenant, by no operation`, async (t) => {
    const posthorn = await startTestService(t, {
      POSTHORN_ADMIN_KEY: ADMIN_KEY,
      POSTHORN_RETRY_SCHEDULE: '1h',
    });
    for (const id of ['acme', 'globex'])
      await posthorn.request('POST', '/v1/tenants', { id }, admin);
    const others = await furnish(t, posthorn, 'globex');
    const before = await everythingOf(t, posthorn, 'globex');
    const { json } = await posthorn.request(
      'POST',
      '/v1/keys',
      { tenant: asker, scopes: ['manage', 'send', 'read'] },
      admin,
    );
    const ask = (method: string, path: string, body?: unknown) =>
      posthorn.request(method, path, body, { authorization: `Bearer ${json.key}` });

    t.match((await ask('GET', '/v1/stats')).json, {
      accepted: 0,
      attempts: 0,
      succeeded: 0,
      failed: 0,
      retrying: 0,
      queue_depth: 0,
      held: 0,
      oldest_due_at: null,
    });
    for (const operation of await listOperations(posthorn)) {
      const { method, path, scope, parameters, example } = operation;
      if (scope === null) continue;
      const name = `${method} ${path}`;
      const outside = asker !== 'default' && !path.startsWith('/v1/') && !path.includes('{');

      for (const { what, byPath, call } of waysToName(operation, ask)) {
        const reply = await call(others);
        t.equal(
          normalised(reply, others),
          normalised(await call(NOBODYS), NOBODYS),
          `${name}, ${what}: as if there were no such thing`,
        );
        t.notOk(reply.text.includes(CANARY), `${name}, ${what}: ${reply.text}`);
        if (byPath || outside)
          t.equal(reply.status, scope === 'admin' ? 403 : 404, `${name}, ${what}: ${reply.text}`);
      }

      if (parameters.some((one) => one.name === 'tenant' && one.in === 'query')) {
        const at = path.replaceAll(/\{(\w+)\}/g, (_whole, id: string) => `${others[id]}`);
        const [named, unknown] = await Promise.all(
          ['globex', 'nobody'].map((tenant) => ask(method, `${at}?tenant=${tenant}`, example)),
        );
        t.equal(named?.status, scope === 'admin' ? 403 : 404, `${name}?tenant=: ${named?.text}`);
        t.equal(
          normalised(named as Reply, { tenant: 'globex' }),
          normalised(unknown as Reply, { tenant: 'nobody' }),
          `${name}?tenant=: as if there were no such tenant`,
        );
      }

      if (path.includes('{')) continue;
      const plain = await ask(method, path, example);
      t.notOk(plain.text.includes(CANARY), `${name}: ${plain.text}`);
      t.ok(plain.status < 500, `${name}: ${plain.text}`);
      if (outside) t.equal(plain.status, 404, `${name} is the default tenant's: ${plain.text}`);
    }
    t.equal(await everythingOf(t, posthorn, 'globex'), before, 'and changes nothing of it');
  });
}

t.test('the tenant itself finds everything, which shows that the test can fail', async (t) => {
  const posthorn = await startTestService(t, {
    POSTHORN_ADMIN_KEY: ADMIN_KEY,
    POSTHORN_RETRY_SCHEDULE: '1h',
  });
  await posthorn.request('POST', '/v1/tenants', { id: 'globex' }, admin);
  const own = await furnish(t, posthorn, 'globex');
  const { json } = await posthorn.request(
    'POST',
    '/v1/keys',
    { tenant: 'globex', scopes: ['manage', 'send', 'read'] },
    admin,
  );
  for (const operation of await listOperations(posthorn)) {
    const { method, path, scope } = operation;
    if (method !== 'GET' || scope !== 'read' || !path.startsWith('/v1/')) continue;
    const [byPath] = waysToName(operation, (_method, at) =>
      posthorn.request('GET', at, undefined, { authorization: `Bearer ${json.key}` }),
    ).filter((way) => way.byPath);
    if (byPath === undefined) continue;
    const reply = await byPath.call(own);
    t.equal(reply.status, 200, `${method} ${path}: ${reply.text}`);
    const shown = [CANARY, ...Object.values(own).map(String)];
    if (path.endsWith('}'))
      t.ok(
        shown.some((text) => reply.text.includes(text)),
        `${method} ${path}`,
      );
  }
});

t.test('/ingest does not reveal without a key which subscriptions exist', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: ADMIN_KEY });
  const subscribe = async (fields: object) =>
    (await posthorn.request('POST', '/v1/subscriptions', { url: receiver.url, ...fields }, admin))
      .json.id;
  const ids = [await subscribe({}), await subscribe({ secret: 'a secret' }), 77_001];
  const wrong = `sha256=${'0'.repeat(64)}`;
  for (const headers of [{}, { 'x-hub-signature-256': wrong }, { 'x-hub-signature-256': 'x' }]) {
    const answers = new Set<string>();
    for (const id of ids) {
      const reply = await posthorn.request('POST', `/ingest/${id}`, {}, headers as never);
      t.equal(reply.status, 401);
      answers.add(normalised(reply, { id }));
    }
    t.equal(answers.size, 1, `one answer for all: ${[...answers].join('\n')}`);
  }
  const explained = await posthorn.request(
    'POST',
    `/ingest/${ids[1]}`,
    {},
    {
      ...admin,
      'x-hub-signature-256': wrong,
    },
  );
  t.equal(explained.status, 401);
  t.match(explained.json.detail, /not this body's signature/, 'who has the key is told more');
});
