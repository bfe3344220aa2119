import type { ServerResponse } from 'node:http';
import t from 'tap';
import { createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

async function subscribe({ request }: TestService, url: string, policy: object): Promise<number> {
  const { json, status, text } = await request('POST', '/v1/subscriptions', { url, ...policy });
  if (status !== 201) throw new Error(text);
  return json.id;
}

const succeeded = ({ request }: TestService, count: number) =>
  until(`${count} have succeeded`, async () => {
    return (await request('GET', '/v1/stats')).json.succeeded === count;
  });

/** The most of these moments that fall into one span. */
function mostWithin(times: readonly number[], spanMs: number): number {
  let most = 0;
  let first = 0;
  for (const [last, at] of times.entries()) {
    while ((times[first] as number) <= at - spanMs) first += 1;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

t.test('a rate is kept by all processes together, evenly, whoever of them sends', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const times: number[] = [];
  const receiver = await startReceiver(t, (response) => {
    times.push(performance.now());
    response.end();
  });
  const first = await startTestService(t, { DATABASE_URL: databaseUrl });
  const second = await startTestService(t, { DATABASE_URL: databaseUrl });
  const id = await subscribe(first, receiver.url, { rate_limit: { limit: 50, per: '1s' } });
  for (let n = 0; n < 160; n++) await [first, second][n % 2]?.ingest(id, { n });
  await until('it is under way', () => times.length > 40);
  // Whichever of the two it is that sends, it is stopped in the middle, or its neighbour is.
  await first.service.stop();
  await succeeded(second, 160);
  t.equal(times.length, 160, 'each once');
  const took = (times.at(-1) as number) - (times[0] as number);
  // A tenth of it may come at once, and whoever takes over begins with one.
  t.ok(took > ((160 - 12) / 50) * 1_000, `took ${took} ms`);
  const most = mostWithin(times, 1_000);
  // A tenth more at once, and what a busy machine lets arrive later than it was sent.
  t.ok(most <= 61, `${most} in a second`);
  const atOnce = mostWithin(times, 15);
  t.ok(atOnce <= 10, `${atOnce} at once`);
});

t.test('a pinned number of requests at once is that of all processes together', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  let most = 0;
  const open: ServerResponse[] = [];
  const receiver = await startReceiver(t, (response) => {
    open.push(response);
    most = Math.max(most, open.length);
    // None is answered before three have come, however slowly they do.
    if (most === 3) setTimeout(() => open.shift()?.end(), 20);
  });
  const first = await startTestService(t, { DATABASE_URL: databaseUrl });
  const second = await startTestService(t, { DATABASE_URL: databaseUrl });
  const id = await subscribe(first, receiver.url, { max_in_flight: 3 });
  for (let n = 0; n < 60; n++) await [first, second][n % 2]?.ingest(id, { n });
  await until('three are sent at once', () => most >= 3);
  for (const response of open.splice(0, 2)) response.end();
  await succeeded(second, 60);
  t.equal(most, 3, 'no more, and no fewer');
  t.equal(receiver.received.length, 60);
});

t.test(
  'a limit that is set holds for what waits already, and what waits goes when it is lifted',
  async (t) => {
    const databaseUrl = await createTestDatabase(t);
    const receiver = await startReceiver(t);
    const api = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'api' });
    const id = await subscribe(api, receiver.url, {});
    for (let n = 0; n < 50; n++) await api.ingest(id, { n });
    const path = `/v1/subscriptions/${id}`;
    await api.request('PATCH', path, { rate_limit: { limit: 1, per: '1d' } });
    // Their jobs are in the queue, from before.
    await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'worker' });
    await receiver.waitFor(1);
    await until(
      'the rest is held',
      async () => (await api.request('GET', '/v1/stats')).json.held === 49,
    );
    t.equal(receiver.received.length, 1);
    await api.request('PATCH', path, { rate_limit: null });
    await succeeded(api, 50);
    // And what comes now goes by the queue again.
    await api.ingest(id, { n: 50 });
    await succeeded(api, 51);
  },
);
