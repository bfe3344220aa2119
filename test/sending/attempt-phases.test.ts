// How long the phases of an attempt took, as the API tells it.
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { certify, trust } from '../helpers/certificates.ts';
import { subscribeAs } from '../helpers/health.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const SLOW_MS = 300;
/** A busy machine may see the head or the end late, but not by so much. */
const MOST_MS = SLOW_MS / 2;
const TIMEOUT_MS = 1_000;

const certificate = certify(t, ['DNS:localhost']);
trust(t, certificate);
const timestamps = new Map<string, string>();
const server = createServer(certificate, async (request, response) => {
  timestamps.set(
    request.headers['webhook-id'] as string,
    request.headers['webhook-timestamp'] as string,
  );
  const { url } = request;
  if (url === '/silent') return;
  if (url === '/slow-head') await sleep(SLOW_MS);
  response.write('so far');
  if (url === '/slow-body') await sleep(SLOW_MS);
  response.end();
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
t.teardown(() => {
  server.closeAllConnections();
  server.close();
});
const { port } = server.address() as AddressInfo;
const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1h' });

/** Sends a webhook there, and returns its first attempt. */
async function attempt(url: string, timeout: string | null = null) {
  const webhook = await posthorn.ingest(await subscribeAs(posthorn, { url, timeout }));
  return await until(`an attempt to ${url} is recorded`, async () => {
    const { json } = await posthorn.request('GET', `/v1/attempts?webhook_id=${webhook}`);
    return json.data[0];
  });
}

interface Timed {
  readonly timing_ms: Readonly<Record<string, number | string | null>>;
  readonly duration_ms: number;
}

function checkSum(t: Test, { timing_ms, duration_ms }: Timed) {
  const { connection: _, ...phases } = timing_ms;
  const sum = Object.values(phases).reduce<number>((all, ms) => all + Number(ms), 0);
  t.equal(sum, duration_ms, 'the phases add up to the duration');
}

t.test('a new connection has all phases, and a kept one none of connecting', async (t) => {
  const first = await attempt(`https://localhost:${port}/`);
  t.match(first, {
    response_excerpt: 'so far',
    timing_ms: {
      connection: 'new',
      dns: Number,
      connect: Number,
      tls: Number,
      first_byte: Number,
      body: Number,
    },
  });
  checkSum(t, first);
  const second = await attempt(`https://localhost:${port}/slow-head`);
  t.match(second.timing_ms, { connection: 'reused', dns: null, connect: null, tls: null });
  t.ok(second.timing_ms.first_byte >= MOST_MS, 'it waited for the head');
  checkSum(t, second);
  const third = await attempt(`https://localhost:${port}/slow-body`);
  t.ok(third.timing_ms.body >= MOST_MS, 'it waited for the body');
  checkSum(t, third);
  for (const { webhook_id, webhook_timestamp } of [first, second, third])
    t.equal(
      String(webhook_timestamp),
      timestamps.get(webhook_id),
      'the timestamp that the receiver got',
    );
  const { deliveries } = (await posthorn.request('GET', `/v1/webhooks/${third.webhook_id}`)).json;
  const { timing_ms, webhook_timestamp, response_excerpt } = third;
  t.match(deliveries[0].attempts[0], { timing_ms, webhook_timestamp, response_excerpt });
});

t.test('the phase in which an attempt ended has the time until then', async (t) => {
  const silent = await attempt(`https://localhost:${port}/silent`, `${TIMEOUT_MS}ms`);
  t.match(silent, {
    error_code: 'timeout_response',
    timing_ms: { body: null },
    webhook_timestamp: Number,
  });
  t.ok(silent.timing_ms.first_byte > TIMEOUT_MS / 2, 'it waited for the head');
  checkSum(t, silent);
  const unknown = await attempt('https://nowhere.invalid/');
  t.match(unknown, {
    error_code: 'dns',
    timing_ms: {
      connection: 'new',
      dns: Number,
      connect: null,
      tls: null,
      first_byte: null,
      body: null,
    },
    webhook_timestamp: null,
  });
  checkSum(t, unknown);
  const refused = await attempt('http://127.0.0.1:9/');
  t.match(refused, {
    error_code: 'refused',
    timing_ms: { connection: 'new', dns: null, connect: Number, tls: null, first_byte: null },
    webhook_timestamp: null,
  });
  checkSum(t, refused);
  const plain = await attempt(`http://localhost:${port}/`);
  t.match(plain.timing_ms, {
    dns: Number,
    connect: Number,
    tls: null,
    first_byte: Number,
    body: null,
  });
  const wrong = await attempt(`https://127.0.0.1:${port}/`);
  t.match(wrong, {
    error_code: 'tls',
    timing_ms: { dns: null, connect: Number, tls: Number, first_byte: null },
  });
  checkSum(t, wrong);
});
