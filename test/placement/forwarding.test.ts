import t, { type Test } from 'tap';
import { HOP_HEADER } from '../../src/placement/forward.ts';
import { follow } from '../helpers/event-stream.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { until } from '../helpers/until.ts';
import { ADMIN_KEY, admin, startHomes, type TestHome } from './homes.ts';

/** Two homes, and a tenant that lives at the second, with a key and a subscription. */
async function start(t: Test, env: Record<string, string> = {}) {
  const all = await startHomes(t, ['one', 'two'], env);
  const [one, two] = all.homes as [TestHome, TestHome];
  const made = await two.request('POST', '/v1/tenants', { id: 'acme' }, admin);
  t.equal(made.status, 201, made.text);
  const scopes = ['manage', 'send', 'pull'];
  const { json } = await two.request('POST', '/v1/keys', { tenant: 'acme', scopes }, admin);
  const key = { authorization: `Bearer ${json.key}` };
  const receiver = await startReceiver(t);
  const url = `${receiver.url}/hook`;
  const subscribed = await two.request('POST', '/v1/subscriptions', { url }, key);
  t.equal(subscribed.status, 201, subscribed.text);
  return { ...all, one, two, key, receiver, id: subscribed.json.id as number };
}

const event = { event_type: 'a.b', data: { n: 1 } };
const countOf = async ({ client }: TestHome, tenant: string) => {
  const { rows } = await client.query<{ number: number }>(
    'select count(*)::integer as number from posthorn.webhook_payloads where tenant = $1',
    [tenant],
  );
  return rows[0]?.number;
};

t.test('any home answers every request of a tenant, as its own home does', async (t) => {
  const { one, two, key, receiver, id } = await start(t);
  const sent = await one.request('POST', '/v1/webhooks', event, key);
  t.equal(sent.status, 202, sent.text);
  const [delivered] = await receiver.waitFor(1);
  t.match(delivered?.body.toString(), /"n":1/);
  t.equal(await countOf(two, 'acme'), 1);
  t.equal(await countOf(one, 'acme'), 0);

  const ingested = await one.request('POST', `/ingest/${id}`, '{"exact" :  1.0}', key);
  t.equal(ingested.status, 202, ingested.text);
  const received = await receiver.waitFor(2);
  await until('both deliveries have ended', async () => {
    const { json } = await two.request('GET', '/v1/deliveries?state=succeeded', undefined, key);
    return json.data.length === 2;
  });
  t.equal(received[1]?.body.toString(), '{"exact" :  1.0}', 'the bytes are those that were sent');

  for (const [method, path, body, headers] of [
    ['GET', `/v1/webhooks/${sent.json.webhook_id}`, undefined, key],
    ['GET', '/v1/subscriptions', undefined, key],
    ['GET', '/v1/subscriptions?tenant=acme', undefined, admin],
    ['GET', '/v1/tenants/acme', undefined, admin],
    ['GET', '/v1/keys?tenant=acme', undefined, admin],
    ['PATCH', `/v1/subscriptions/${id}`, { description: 'one' }, key],
    ['PATCH', `/v1/subscriptions/${id}`, { nothing: 1 }, key],
    ['GET', '/v1/subscriptions/777', undefined, key],
    ['GET', '/v1/subscriptions?tenant=zeta', undefined, key],
    ['POST', '/v1/webhooks', '{', key],
  ] as const) {
    const [there, here] = [
      await two.request(method, path, body, headers),
      await one.request(method, path, body, headers),
    ];
    const shown = `${method} ${path}`;
    t.equal(here.status, there.status, `${shown}: ${here.text}`);
    t.equal(here.headers.get('content-type'), there.headers.get('content-type'), shown);
    t.equal(withoutTimes(here.text), withoutTimes(there.text), shown);
  }
});

const withoutTimes = (text: string) => text.replace(/"(updated_at|last_used_at)":"[^"]*"/g, '');

t.test('signed requests without a key find the home of their subscription', async (t) => {
  const { one, two, key, receiver } = await start(t);
  const secret = 'a secret of acme 0123';
  const url = `${receiver.url}/signed`;
  const made = await one.request('POST', '/v1/subscriptions', { url, secret }, key);
  t.equal(made.status, 201, made.text);
  t.ok(made.json.id > 10_000_000, 'the id is of the range of its home');
  const payload = { hello: 'world' };
  const signed = await two.request('POST', '/ingest/getsignature', { payload, secret }, admin);
  const headers = { 'x-hub-signature-256': signed.json.signature };
  const path = `/ingest/${made.json.id}`;
  const taken = await one.request('POST', path, signed.json.signed_payload, headers);
  t.equal(taken.status, 202, taken.text);
  const refused = await one.request('POST', path, '{"other":1}', headers);
  t.equal(refused.status, 401);
  await receiver.waitFor(1);
});

t.test(
  'a tenant and a key are created at the home that is asked, or where the tenant lives',
  async (t) => {
    const { one, two, directory } = await start(t);
    const here = await one.request('POST', '/v1/tenants', { name: 'no id' }, admin);
    t.equal(here.status, 201, here.text);
    const again = await one.request('POST', '/v1/tenants', { id: 'acme' }, admin);
    t.equal(again.status, 409, again.text);
    t.match(again.json.detail, /acme already exists/);
    const { rows } = await directory.query('select tenant, home from posthorn.placements');
    t.match(Object.fromEntries(rows.map(({ tenant, home }) => [tenant, home])), {
      default: 'one',
      acme: 'two',
      [here.json.id]: 'one',
    });
    const key = await one.request('POST', '/v1/keys', { tenant: 'acme', scopes: ['read'] }, admin);
    t.equal(key.status, 201, key.text);
    t.ok(key.json.id >= 10_000_001);
    const ofDefault = await two.request('POST', '/v1/keys', { scopes: ['read'] }, admin);
    t.equal(ofDefault.status, 201, ofDefault.text);
    t.ok(ofDefault.json.id < 10_000_001, 'default lives at the first home');
    for (const home of [one, two]) {
      const headers = { authorization: `Bearer ${key.json.key}` };
      t.equal((await home.request('GET', '/v1/webhooks', undefined, headers)).status, 200);
    }
  },
);

t.test('a stream of events comes through as it happens, and ends with its client', async (t) => {
  const { one, two, key } = await start(t);
  const stream = await follow(t, one, '/v1/stream', key);
  const sent = await two.request('POST', '/v1/webhooks', event, key);
  t.equal(sent.status, 202);
  await stream.until('the webhook', ({ data }) =>
    JSON.stringify(data).includes(sent.json.webhook_id),
  );
  stream.close();
});

t.test('a key that no home has gets 401, and a request without one too', async (t) => {
  const { one, key } = await start(t);
  const unknown = { authorization: `${key.authorization.slice(0, -1)}x` };
  t.equal((await one.request('GET', '/v1/webhooks', undefined, unknown)).status, 401);
  t.equal((await one.request('GET', '/v1/webhooks?tenant=acme')).status, 401);
  t.equal((await one.request('GET', '/v1/tenants/nobody', undefined, admin)).status, 404);
  t.equal((await one.request('POST', '/ingest/777', {}, admin)).status, 404);
});

t.test(
  'a key of all tenants and the cookie of a session count at their home only, and the answer says so',
  async (t) => {
    const { one } = await start(t);
    const made = await one.request('POST', '/v1/keys', { scopes: ['admin'] }, admin);
    const headers = { authorization: `Bearer ${made.json.key}` };
    t.equal((await one.request('GET', '/v1/tenants', undefined, headers)).status, 200);
    const refused = await one.request('GET', '/v1/tenants/acme', undefined, headers);
    t.equal(refused.status, 421, refused.text);
    t.match(
      refused.json.detail,
      /lives at two, http:\/\/127\.0\.0\.1:\d+, and this key or session/,
    );
    const signedIn = await one.request('POST', '/v1/session', { key: ADMIN_KEY });
    const [cookie = ''] = (signedIn.headers.get('set-cookie') ?? '').split(';');
    const page = { cookie, 'sec-fetch-site': 'same-origin' };
    t.equal((await one.request('GET', '/v1/subscriptions', undefined, page)).status, 200);
    t.equal(
      (await one.request('GET', '/v1/subscriptions?tenant=acme', undefined, page)).status,
      421,
    );
  },
);

t.test(
  'a home that is away is a 503 with Retry-After, and its tenants come back with it',
  async (t) => {
    const { one, two, key } = await start(t);
    t.equal((await one.request('GET', '/v1/webhooks', undefined, key)).status, 200);
    await two.stop();
    const away = await one.request('POST', '/v1/webhooks', event, key);
    t.equal(away.status, 503, away.text);
    t.equal(away.headers.get('retry-after'), '1');
    t.match(away.headers.get('content-type'), /^application\/problem\+json/);
    t.match(away.json, {
      type: 'urn:posthorn:problem:unavailable',
      detail: /lives at two, which cannot be reached/,
    });
    const local = await one.request('POST', '/v1/webhooks', event, admin);
    t.equal(local.status, 202, 'tenants that live here go on');
    await two.restart();
    t.equal((await one.request('POST', '/v1/webhooks', event, key)).status, 202);
  },
);

t.test('with the directory away, known tenants go on, and unknown ones get 503', async (t) => {
  const { one, two, key, setAway } = await start(t);
  const other = await two.request('POST', '/v1/tenants', { id: 'zeta' }, admin);
  t.equal(other.status, 201);
  t.equal((await one.request('POST', '/v1/webhooks', event, key)).status, 202);
  t.equal((await one.request('POST', '/v1/webhooks', event, admin)).status, 202);
  await setAway(true);
  t.teardown(() => setAway(false));
  for (let n = 0; n < 3; n++) {
    const sent = await one.request('POST', '/v1/webhooks', event, key);
    t.equal(sent.status, 202, sent.text);
    t.equal((await one.request('POST', '/v1/webhooks', event, admin)).status, 202);
  }
  const unknown = await one.request('POST', '/v1/webhooks?tenant=zeta', event, admin);
  t.equal(unknown.status, 503, unknown.text);
  t.match(unknown.json.detail, /directory cannot be read/);
  t.ok(unknown.headers.get('retry-after'));
  const refused = await one.request('POST', '/v1/keys', { scopes: ['read'] }, admin);
  t.equal(refused.status, 503, 'a key is not created that other homes would not know');
  t.equal((await one.request('GET', '/readyz')).status, 200, 'a balancer keeps the process');
  await one.stop();
  await one.restart();
  const fresh = await one.request('POST', '/v1/webhooks', event, admin);
  t.equal(fresh.status, 503, 'a process that has just started knows no tenant');
  await setAway(false);
  await until('the directory is asked again', async () => {
    const { status } = await one.request('POST', '/v1/webhooks?tenant=zeta', event, admin);
    return status === 202;
  });
});

t.test(
  'a request is passed on once: two homes that disagree do not pass it back and forth',
  async (t) => {
    const { one, key } = await start(t);
    const hop = { ...key, [HOP_HEADER]: 'two' };
    const refused = await one.request('POST', '/v1/webhooks', event, hop);
    t.equal(refused.status, 503, refused.text);
    t.match(refused.json.detail, /two passed this request on to one, but the tenant lives at two/);
    t.equal(refused.headers.get('retry-after'), '1');
  },
);

t.test(
  'homes with a stale directory are put right by the fence of the home that the tenant has left',
  async (t) => {
    const { one, two, key, directory } = await start(t);
    t.equal((await one.request('GET', '/v1/webhooks', undefined, key)).status, 200);
    // A move that nobody is told of. The key was not copied, so the new home does not know it.
    await directory.query('alter table posthorn.placements disable trigger notify_changed');
    await directory.query(`update posthorn.placements set home = 'one' where tenant = 'acme'`);
    await two.client.query(`select posthorn.close_tenant('acme')`);
    const closed = await one.request('POST', '/v1/webhooks', event, key);
    t.equal(closed.status, 503, closed.text);
    t.match(closed.json.type, 'urn:posthorn:problem:tenant-moves');
    for (const home of [one, two]) {
      const passed = await home.request('POST', '/v1/webhooks', event, key);
      t.equal(passed.status, 401, 'the new home answers');
    }
    t.equal(await countOf(two, 'acme'), 0);
  },
);

t.test(
  'requests that change something wait while their tenant moves, and reads do not',
  async (t) => {
    const { one, two, key, directory } = await start(t);
    const setMoving = (moving: boolean) =>
      directory.query(`update posthorn.placements set moving = $1 where tenant = 'acme'`, [moving]);
    await setMoving(true);
    const answers = [one, two].map((home) => home.request('POST', '/v1/webhooks', event, key));
    t.equal((await one.request('GET', '/v1/webhooks', undefined, key)).status, 200);
    t.equal((await two.request('GET', '/v1/webhooks', undefined, key)).status, 200);
    await setMoving(false);
    for (const answer of await Promise.all(answers)) t.equal(answer.status, 202, answer.text);
    await setMoving(true);
    const startedAt = performance.now();
    const refused = await two.request('POST', '/v1/webhooks', event, key);
    t.equal(refused.status, 503);
    t.equal(refused.headers.get('retry-after'), '5');
    t.match(refused.json.type, 'urn:posthorn:problem:tenant-moves');
    t.ok(performance.now() - startedAt > 4_000, 'it waits for five seconds');
    await setMoving(false);
  },
);

t.test(
  'requests to /ingest find a subscription whose tenant has moved out of the range of its id',
  async (t) => {
    const { homes, directory } = await startHomes(t, ['one', 'two', 'three']);
    const [one, two, three] = homes as [TestHome, TestHome, TestHome];
    await three.client.query('set posthorn.mover = on');
    const { rows } = await three.client.query(
      `insert into posthorn.subscriptions (id, url) overriding system value values (10000007, 'https://example.com')
     returning id`,
    );
    const path = `/ingest/${rows[0].id}`;
    t.equal((await one.request('POST', path, {}, admin)).status, 404, 'two has the range');
    await directory.query(`insert into posthorn.placed_subscriptions (id, tenant) values (10000007, 'default');
    update posthorn.placements set home = 'three', epoch = 2 where tenant = 'default'`);
    await three.client.query(`select posthorn.open_tenant('default')`);
    await until('all homes find it', async () => {
      const answers = await Promise.all(homes.map((home) => home.request('POST', path, {}, admin)));
      return answers.every(({ status }) => status === 202);
    });
    t.ok(((await countOf(three, 'default')) ?? 0) >= homes.length);
    t.equal(await countOf(two, 'default'), 0);
  },
);

t.test(
  'a large body is passed on in full, and one that is too large is refused as at home',
  async (t) => {
    const { one, two, key } = await start(t, { POSTHORN_MAX_BODY: '4MiB' });
    const data = 'x'.repeat(3 * 1024 * 1024);
    const sent = await one.request('POST', '/v1/webhooks', { event_type: 'a.b', data }, key);
    t.equal(sent.status, 202, sent.text);
    const got = await two.request('GET', `/v1/webhooks/${sent.json.webhook_id}`, undefined, key);
    t.ok(got.json.bytes > data.length);
    const body = { event_type: 'a.b', data: data + data };
    const refused = await one.request('POST', '/v1/webhooks', body, key);
    t.equal(refused.status, 413, refused.text);
    const chunked = await fetch(new URL('/v1/webhooks', one.url), {
      method: 'POST',
      headers: { ...key, 'content-type': 'application/json' },
      body: new Blob([JSON.stringify(body)]).stream(),
      duplex: 'half',
    });
    t.equal(chunked.status, 413, await chunked.text());
  },
);
