import pg from 'pg';
import {
  alternating,
  type Bench,
  type Measurement,
  type Scenario,
  warmUp,
  withSide,
} from '../lib/bench.ts';
import { fillCounts, fillHistory, fillWaitingRetries } from '../lib/fill.ts';
import { posthorn, type Running } from '../lib/sides.ts';
import { measureWholePathOf } from '../lib/whole-path.ts';

/** Creates a condition in the database of a running service. The function that it returns ends the condition. */
type Prepare = (bench: Bench, running: Running, path: string) => Promise<() => Promise<void>>;

/** Measures the whole path under a condition, in turn with another service without it. */
async function inTurn(
  bench: Bench,
  scenario: string,
  as: string,
  prepare: Prepare,
): Promise<Measurement[]> {
  const start = async (running: Running) => {
    const path = await running.subscribe(bench.receiverUrl('/ok'));
    await warmUp(bench, running, path);
    return path;
  };
  return await withSide(bench, posthorn, {}, async (plain) => {
    const plainPath = await start(plain);
    return await withSide(bench, posthorn, {}, async (running) => {
      const path = await start(running);
      const end = await prepare(bench, running, path);
      await warmUp(bench, running, path);
      const measurements = await alternating(bench, [
        [
          'without',
          (round) =>
            measureWholePathOf(bench, plain, plainPath, round, { scenario, as: 'without' }),
        ],
        [as, (round) => measureWholePathOf(bench, running, path, round, { scenario, as })],
      ]);
      await end();
      return measurements;
    });
  });
}

function condition(name: string, what: string, as: string, prepare: Prepare): Scenario {
  return { name, what, run: (bench) => inTurn(bench, name, as, prepare) };
}

const idOf = (path: string) => Number(path.split('/').at(-1));

export const retriesWaiting = condition(
  'retries waiting',
  'The whole path while 2,000,000 retries wait until they are due',
  '2,000,000 retries',
  async (bench, running, path) => {
    await fillWaitingRetries(running.databaseUrl, idOf(path), bench.quick ? 20_000 : 2_000_000);
    return async () => {};
  },
);

export const longTransaction = condition(
  'long transaction',
  'The whole path while an unrelated transaction stays open, so that Postgres cannot vacuum new dead rows',
  'with a long transaction',
  async (_bench, running) => {
    const client = new pg.Client({ connectionString: running.databaseUrl });
    await client.connect();
    await client.query('begin isolation level repeatable read');
    await client.query('select 1');
    return () => client.end();
  },
);

export const longHistory: Scenario = {
  name: 'long history',
  what: 'The whole path with 10,000,000 attempts of the last 30 days, and the time for a page of each list and for the screens',
  run: async (bench) => {
    const pages: Measurement[] = [];
    const measurements = await inTurn(
      bench,
      'long history',
      '10,000,000 attempts',
      async (_bench, running) => {
        const subscriptions: number[] = [];
        for (let n = 0; n < 50; n++)
          subscriptions.push(idOf(await running.subscribe(bench.receiverUrl(`/ok?${n}`))));
        const count = bench.quick ? 20_000 : 10_000_000;
        await fillHistory(running.databaseUrl, subscriptions, count, 30, (done) =>
          bench.say(`filling the history: ${done.toLocaleString('en')} attempts`),
        );
        await fillCounts(running.databaseUrl, subscriptions, 30);
        pages.push(...(await measurePages(running, subscriptions)));
        pages.push(...(await measureScreens(running)));
        return async () => {};
      },
    );
    return [...measurements, ...pages];
  },
};

/** Measures pages of the lists that people read, for varying times and subscriptions. */
async function measurePages(running: Running, subscriptions: number[]): Promise<Measurement[]> {
  const day = (n: number) => new Date(Date.now() - (n % 29) * 86_400_000 - 7_200_000).toISOString();
  const subscription = (n: number) => subscriptions[n % subscriptions.length];
  const routes: [name: string, path: (n: number) => string][] = [
    ['/logs/deliverylogs', () => '/logs/deliverylogs'],
    ['/logs/deliverylogs?until', (n) => `/logs/deliverylogs?until=${day(n)}`],
    [
      '/logs/deliverylogs?subscription_id&until',
      (n) => `/logs/deliverylogs?subscription_id=${subscription(n)}&until=${day(n)}`,
    ],
    ['/logs/deliverylogs?status=failed', (n) => `/logs/deliverylogs?status=failed&until=${day(n)}`],
    ['/v1/deliveries', () => '/v1/deliveries'],
    ['/v1/deliveries?until', (n) => `/v1/deliveries?until=${day(n)}`],
    [
      '/v1/deliveries?subscription_id&until',
      (n) => `/v1/deliveries?subscription_id=${subscription(n)}&until=${day(n)}`,
    ],
    ['/v1/deliveries?state=failed', (n) => `/v1/deliveries?state=failed&until=${day(n)}`],
  ];
  return await measureRoutes(
    running,
    routes.map(([name, path]) => [`page of ${name}`, path]),
    200,
  );
}

/** Measures the slower requests of the dashboard's screens. */
async function measureScreens(running: Running): Promise<Measurement[]> {
  const routes = [
    '/v1/stats/series?window=1h',
    '/v1/stats/series?window=24h',
    '/v1/stats/series?window=30d',
    '/v1/stats/queue',
    '/v1/webhooks?include=deliveries',
    '/v1/deliveries?state=failed',
    '/v1/subscriptions?include=health',
    '/v1/problems',
  ];
  return await measureRoutes(
    running,
    routes.map((path) => [`screen: ${path}`, () => path]),
    50,
  );
}

/** Measures requests one after another. The first ones are not counted. */
async function measureRoutes(
  running: Running,
  routes: readonly (readonly [side: string, path: (n: number) => string])[],
  requests: number,
): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  for (const [side, path] of routes) {
    const times: number[] = [];
    for (let n = -requests / 10; n < requests; n++) {
      const startedAt = performance.now();
      const response = await fetch(`http://127.0.0.1:${running.port}${path(Math.abs(n))}`);
      await response.arrayBuffer();
      if (!response.ok) throw new Error(`${path(n)} answered ${response.status}`);
      if (n >= 0) times.push(performance.now() - startedAt);
    }
    times.sort((a, b) => a - b);
    const at = (share: number) => times[Math.floor(times.length * share)] as number;
    measurements.push({
      scenario: 'long history',
      side,
      round: measurements.length + 1,
      perSecond: null,
      latencyMs: { p50: at(0.5), p95: at(0.95), p99: at(0.99) },
      loop: 'closed',
    });
  }
  return measurements;
}
