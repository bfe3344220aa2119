import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import type pg from 'pg';
import t from 'tap';
import { connect } from '../helpers/database.ts';
import { type FollowedStream, follow, type ReceivedEvent } from '../helpers/event-stream.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { startSupervised } from '../helpers/supervised.ts';
import { TOLD_MS, until } from '../helpers/until.ts';

const ADMIN_KEY = 'an admin key of some length';
const admin = { authorization: `Bearer ${ADMIN_KEY}` };
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

const named = (name: string) => (event: ReceivedEvent) => event.event === name;
const idsOf = (events: readonly ReceivedEvent[], name: string): string[] =>
  events.filter(named(name)).map(({ data }) => data.webhook_id);

/** Adds webhooks that nobody gets, in one transaction. */
async function addWebhooks(client: pg.Client, count: number, tenant = 'default'): Promise<void> {
  await client.query(
    `insert into posthorn.webhook_payloads (tenant, event_type, content_type, body)
     select $2, repeat('x', 120), 'application/json', '1' from generate_series(1, $1)`,
    [count, tenant],
  );
}

async function makeKey(posthorn: TestService, fields: object) {
  const { status, json, text } = await posthorn.request('POST', '/v1/keys', fields, admin);
  if (status !== 201) throw new Error(`${status} ${text}`);
  return json as { id: number; key: string };
}

/** The backends that serve streams, and when each was used last. */
async function streamSessions(client: pg.Client) {
  const { rows } = await client.query<{ pid: number; at: string }>(
    `select pid, query_start::text as at from pg_stat_activity
     where datname = current_database() and application_name like '%streams' order by pid`,
  );
  return rows;
}

t.test('a client sees a webhook, each attempt, and what becomes of its delivery', async (t) => {
  const posthorn = await startTestService(t);
  const receiver = await startReceiver(t, (response, _request, nth) => {
    response.statusCode = nth === 1 ? 503 : 200;
    response.end();
  });
  const id = await posthorn.subscribe(receiver.url);
  const stream = await follow(t, posthorn, '/v1/stream');
  const webhook = await posthorn.ingest(id);
  await stream.until('the delivery has succeeded', named('delivered'));

  t.ok(stream.retryMs, 'a browser is told when to connect again');
  const names = stream.events.map(({ event }) => event).filter((name) => name !== 'pending');
  t.strictSame(names, ['accepted', 'attempt', 'attempt', 'delivered']);
  const [rest, attempts, delivery] = [
    await posthorn.request('GET', '/v1/webhooks'),
    await posthorn.request('GET', '/v1/attempts'),
    await posthorn.request('GET', `/v1/deliveries/${webhook}.${id}`),
  ];
  const dataOf = (name: string) => stream.events.filter(named(name)).map(({ data }) => data);
  t.strictSame(dataOf('accepted'), rest.json.data, 'the shapes are those of the REST routes');
  const withoutDetails = attempts.json.data.map((attempt: Record<string, unknown>) => {
    const { response_excerpt, timing_ms, webhook_timestamp, ...others } = attempt;
    return others;
  });
  t.strictSame(dataOf('attempt'), withoutDetails.toReversed());
  t.strictSame(dataOf('delivered'), [delivery.json]);
});

t.test(
  'a delivery that is held from the start, that waits, or that has failed is shown',
  async (t) => {
    const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1h' });
    const receiver = await startReceiver(t, (response) => response.writeHead(500).end());
    const gone = await startReceiver(t, (response) => response.writeHead(410).end());
    const paused = await posthorn.subscribe(receiver.url);
    await posthorn.request('POST', `/v1/subscriptions/${paused}/pause`);
    const stream = await follow(t, posthorn, '/v1/stream');
    await posthorn.ingest(paused);
    await posthorn.ingest(await posthorn.subscribe(receiver.url));
    await posthorn.ingest(await posthorn.subscribe(gone.url));
    const held = await stream.until('one is held', named('held'));
    t.match(held.data, { state: 'held', subscription_id: paused, attempts_made: 0 });
    const waiting = await stream.until(
      'one waits for its next attempt',
      ({ event, data }) => event === 'pending' && data.attempts_made === 1,
    );
    t.ok(waiting.data.next_attempt_at);
    const failed = await stream.until('one has failed', named('failed'));
    t.match(failed.data, { state: 'failed', attempts_made: 1, next_attempt_at: null });
  },
);

t.test('filters: by subscription, event type and state', async (t) => {
  const posthorn = await startTestService(t);
  const receiver = await startReceiver(t);
  const [one, other] = [
    await posthorn.subscribe(receiver.url),
    await posthorn.subscribe(receiver.url),
  ];
  await posthorn.request('POST', '/v1/subscriptions', { url: receiver.url, event_types: ['a.b'] });
  const ofOne = await follow(t, posthorn, `/v1/stream?subscription_id=${one}`);
  const ofType = await follow(t, posthorn, '/v1/stream?event_type=a.b');
  const ended = await follow(t, posthorn, '/v1/stream?state=succeeded');
  const [toOne] = [await posthorn.ingest(one), await posthorn.ingest(other)];
  const { json } = await posthorn.request('POST', '/v1/webhooks', { event_type: 'a.b', data: {} });
  const typed = json.webhook_id;
  await until('three were delivered', () => ended.events.length >= 3);
  await ofOne.until('its delivery', named('delivered'));
  await ofType.until('its delivery', named('delivered'));
  t.strictSame(new Set(ofOne.events.map(({ data }) => data.webhook_id)), new Set([toOne]));
  t.strictSame(idsOf(ofOne.events, 'accepted'), [toOne]);
  t.strictSame(new Set(ofType.events.map(({ data }) => data.webhook_id)), new Set([typed]));
  t.strictSame(idsOf(ofType.events, 'accepted'), [typed]);
  t.strictSame(new Set(ended.events.map(({ event }) => event)), new Set(['delivered']));
});

t.test(
  'each event comes once, across processes, reconnections, and transactions that commit out of order',
  async (t) => {
    const supervised = await startSupervised(t, 3, { POSTHORN_ALLOW_NETWORKS: '127.0.0.0/8' });
    await supervised.whole();
    const receiver = await startReceiver(t);
    const created = await fetch(new URL('/v1/subscriptions', supervised.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ url: receiver.url, event_types: ['*'] }),
    });
    t.equal(created.status, 201);
    const databaseUrl = supervised.databaseUrl;
    const clients = await Promise.all(Array.from({ length: 4 }, () => connect(t, databaseUrl)));
    const [held, ...writers] = clients as [pg.Client, ...pg.Client[]];
    const sent: string[] = [];
    const send = async (client: pg.Client, count: number) => {
      const { rows } = await client.query<{ id: string }>(
        `select posthorn.send('a.b', '{}') as id from generate_series(1, $1)`,
        [count],
      );
      sent.push(...rows.map(({ id }) => id));
    };

    const all: ReceivedEvent[] = [];
    let lastId = '';
    let stream: FollowedStream = await follow(t, supervised, '/v1/stream');
    const reconnect = async () => {
      stream.close();
      await until('the connection has ended', () => stream.ended);
      all.push(...stream.events);
      lastId = stream.lastId;
      stream = await follow(t, supervised, '/v1/stream', { 'last-event-id': lastId });
    };

    await send(writers[0] as pg.Client, 20);
    await until('the first have come', () => idsOf(stream.events, 'delivered').length >= 20);
    // This transaction has the lowest ids of the next ones, and commits last.
    await held.query('begin');
    await send(held, 3);
    for (let round = 0; round < 4; round++) {
      for (const writer of writers) await writer.query('begin');
      for (const writer of writers) await send(writer, 5);
      for (const writer of writers.toReversed()) await writer.query('commit');
      await reconnect();
    }
    await receiver.waitFor(20 + 4 * 3 * 5);
    await held.query('commit');
    await send(writers[0] as pg.Client, 5);
    await until('a webhook of the open transaction has come', () =>
      stream.events.some(named('accepted')),
    );
    await reconnect();
    const events = () => [...all, ...stream.events];
    await until('all were delivered', () => idsOf(events(), 'delivered').length >= sent.length);
    await until('all were accepted', () => idsOf(events(), 'accepted').length >= sent.length);
    stream.close();

    for (const name of ['accepted', 'attempt', 'delivered'])
      t.strictSame(idsOf(events(), name).toSorted(), sent.toSorted(), `${name}: each once`);
  },
);

t.test('a client may connect again with any id that it got', async (t) => {
  const posthorn = await startTestService(t);
  const receiver = await startReceiver(t);
  const id = await posthorn.subscribe(receiver.url);
  const stream = await follow(t, posthorn, `/v1/stream?subscription_id=${id}`);
  for (let n = 0; n < 3; n++) await posthorn.ingest(id);
  await until('all have come', () => idsOf(stream.events, 'delivered').length === 3);
  stream.close();
  const seen = [...stream.events];
  for (const [index, { id: lastId }] of seen.entries()) {
    const rest = seen.slice(index + 1);
    const path = `/v1/stream?subscription_id=${id}&after=${lastId}`;
    const again = await follow(t, posthorn, path);
    const marker = await posthorn.ingest(id);
    await again.until(
      'a new webhook',
      ({ event, data }) => event === 'delivered' && data.webhook_id === marker,
    );
    const old = again.events.filter(({ data }) =>
      seen.some((one) => one.data.webhook_id === data.webhook_id),
    );
    t.strictSame(
      old
        .filter(({ event }) => event !== 'pending')
        .map(({ event, data }) => [event, data.webhook_id]),
      rest
        .filter(({ event }) => event !== 'pending')
        .map(({ event, data }) => [event, data.webhook_id]),
      `after event ${index}`,
    );
    again.close();
  }
});

t.test('an event does not come again because its delivery went on meanwhile', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '100ms' });
  let answer = (_code: number): void => {};
  const receiver = await startReceiver(t, (response) => {
    answer = (code) => response.writeHead(code).end();
  });
  const id = await posthorn.subscribe(receiver.url);
  const stream = await follow(t, posthorn, `/v1/stream?subscription_id=${id}`);
  await posthorn.ingest(id);
  await receiver.waitFor(1);
  await until('it waits', () => idsOf(stream.events, 'pending').length === 1);
  answer(500);
  await receiver.waitFor(2);
  await until('it waits again', () => idsOf(stream.events, 'pending').length === 2);
  answer(200);
  await until('it is delivered', () => idsOf(stream.events, 'delivered').length === 1);
  const names = stream.events.map(({ event }) => event);
  t.strictSame(names, ['accepted', 'pending', 'attempt', 'pending', 'attempt', 'delivered']);
  for (const nth of [0, 2]) {
    const { id: lastId } = stream.events[nth] as { id: string };
    const path = `/v1/stream?subscription_id=${id}&after=${lastId}`;
    const again = await follow(t, posthorn, path);
    await until('the rest has come', () => idsOf(again.events, 'delivered').length === 1);
    const rest = names.slice(nth + 1).filter((name) => name !== 'pending');
    t.strictSame(
      again.events.map(({ event }) => event).filter((name) => name !== 'pending'),
      rest,
      `after event ${nth}`,
    );
  }
});

t.test(
  'a client that does not read is dropped with the reason, loses nothing, and delays nobody',
  async (t) => {
    const posthorn = await startTestService(t);
    const client = await connect(t, posthorn.databaseUrl);
    const good = await follow(t, posthorn, '/v1/stream');
    const { hostname, port } = new URL(posthorn.url);
    const slow = connectSocket({ host: hostname, port: Number(port) });
    t.teardown(() => slow.destroy());
    slow.write('GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    await once(slow, 'readable');
    slow.pause();
    const count = 30_000;
    await addWebhooks(client, count);
    await until('the other client has got all', () => good.events.length >= count);
    t.equal(new Set(idsOf(good.events, 'accepted')).size, count);

    // It is dropped although it has read nothing; what it reads later ends with the reason.
    await until('the slow client is dropped', async () => {
      const { text } = await posthorn.request('GET', '/metrics');
      return /posthorn_event_streams(\{[^}]*\})? 1\n/.test(text);
    });
    let text = '';
    slow.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    slow.resume();
    await once(slow, 'close');
    t.match(text.slice(-600), /event: end\ndata: \{"reason":"slow_reader"/);
    const got = text.match(/event: accepted/g)?.length ?? 0;
    t.ok(got < count, `${got} were sent to it`);
    const lastId = text.match(/(?<=\nid: ).*/g)?.at(-1) as string;
    const rest = await follow(t, posthorn, '/v1/stream', { 'last-event-id': lastId });
    await until('the rest has come', () => rest.events.length >= count - got);
    const ids = [...text.matchAll(/"webhook_id":"([^"]+)"/g)].map(([, id]) => id as string);
    t.equal(new Set([...ids, ...idsOf(rest.events, 'accepted')]).size, count);
    t.equal(ids.length + rest.events.length, count);
  },
);

t.test('a key that is revoked or expires ends its streams', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: ADMIN_KEY });
  const { id, key } = await makeKey(posthorn, { scopes: ['read'] });
  const soon = await makeKey(posthorn, {
    scopes: ['read'],
    expires_at: new Date(Date.now() + 4_000).toISOString(),
  });
  const revoked = await follow(t, posthorn, '/v1/stream', bearer(key));
  const expiring = await follow(t, posthorn, '/v1/stream', bearer(soon.key));
  await posthorn.request('DELETE', `/v1/keys/${id}`, undefined, admin);
  for (const [stream, why] of [
    [revoked, /revoked/],
    [expiring, /expired/],
  ] as const) {
    await until('it ends', () => stream.ended, TOLD_MS);
    t.match(stream.events.at(-1), { event: 'end', data: { reason: 'access_ended', detail: why } });
  }
  await t.rejects(follow(t, posthorn, '/v1/stream', bearer(key)), /401/);
  const sender = await makeKey(posthorn, { scopes: ['send'] });
  await t.rejects(follow(t, posthorn, '/v1/stream', bearer(sender.key)), /403/);
});

t.test('a tenant sees nothing of another, and is not held up by it', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: ADMIN_KEY });
  for (const id of ['acme', 'busy']) await posthorn.request('POST', '/v1/tenants', { id }, admin);
  const { key } = await makeKey(posthorn, { scopes: ['read', 'send', 'manage'], tenant: 'acme' });
  const acme = await follow(t, posthorn, '/v1/stream', bearer(key));
  const busy = await follow(t, posthorn, '/v1/stream?tenant=busy', admin);
  await t.rejects(follow(t, posthorn, '/v1/stream?tenant=busy', bearer(key)), /404/);
  await addWebhooks(await connect(t, posthorn.databaseUrl), 20_000, 'busy');
  const { json } = await posthorn.request(
    'POST',
    '/v1/webhooks',
    { event_type: 'a.b', data: {} },
    bearer(key),
  );
  await acme.until('its webhook', named('accepted'));
  await until('all of the other tenant', () => busy.events.length >= 20_000);
  t.strictSame(idsOf(acme.events, 'accepted'), [json.webhook_id]);
  t.equal(new Set(idsOf(busy.events, 'accepted')).size, 20_000);
  t.notOk(idsOf(busy.events, 'accepted').includes(json.webhook_id));
  // Links lead to the tenant that the client named.
  t.match(busy.events[0]?.data.links.webhook, /\?tenant=busy$/);
});

t.test('nothing is read while nobody listens', async (t) => {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  t.strictSame(await streamSessions(client), [], 'no connection before the first client');
  const stream = await follow(t, posthorn, '/v1/stream');
  const [first] = await until('it is read', () => streamSessions(client));
  await until('it is read again', async () => (await streamSessions(client))[0]?.at !== first?.at);
  stream.close();
  await until('nothing is read for three seconds', async () => {
    const [before] = await streamSessions(client);
    const since = Date.now();
    await until('three seconds are over', () => Date.now() - since > 3_000);
    return (await streamSessions(client))[0]?.at === before?.at;
  });
});

t.test('a service that stops ends its streams, and clients go on elsewhere', async (t) => {
  const one = await startTestService(t, { POSTHORN_SHUTDOWN_GRACE: '60s' });
  const other = await startTestService(t, { DATABASE_URL: one.databaseUrl, POSTHORN_ROLE: 'api' });
  const client = await connect(t, one.databaseUrl);
  const stream = await follow(t, one, '/v1/stream');
  await addWebhooks(client, 1);
  await stream.until('a webhook', named('accepted'));
  const startedAt = Date.now();
  await one.service.stop();
  t.ok(Date.now() - startedAt < 30_000, 'it does not wait for clients that never leave');
  await until('the stream has ended', () => stream.ended);
  t.match(stream.events.at(-1), { event: 'end', data: { reason: 'shutdown' } });
  await addWebhooks(client, 1);
  const next = await follow(t, other, '/v1/stream', { 'last-event-id': stream.lastId });
  await next.until('the webhook that was missed', named('accepted'));
  t.equal(next.events.length, 1);
});

t.test('an id that is not one is refused by name, and so are too many streams', async (t) => {
  const posthorn = await startTestService(t);
  const far = `${'f'.repeat(8)}-ffff-ffff-ffff-${'f'.repeat(12)}`;
  for (const [path, headers, field] of [
    ['/v1/stream', { 'last-event-id': 'x' }, 'headers.last-event-id'],
    ['/v1/stream?after=1.2', {}, 'query.after'],
    [`/v1/stream?after=${far}.${far}.1.0.1.1.0`, {}, 'query.after'],
  ] as const) {
    const { status, json } = await posthorn.request('GET', path, undefined, headers);
    t.equal(status, 400);
    t.equal(json.errors[0].field, field);
  }
  const open = await Promise.all(
    Array.from({ length: 50 }, () => follow(t, posthorn, '/v1/stream')),
  );
  await t.rejects(follow(t, posthorn, '/v1/stream'), /429.*50 streams of this tenant/);
  open[0]?.close();
  await until('a place is free', () => follow(t, posthorn, '/v1/stream'));
});
