import { until } from '../helpers/until.ts';
import { startBalancer } from './lib/balancer.ts';
import { type Fault, makeFaults, type Victim } from './lib/host-faults.ts';
import { type HostNetwork, makeHostNetwork } from './lib/hosts.ts';
import { judgeOrder, mostInWindow, unevenness } from './lib/judge-requests.ts';
import { settleLedger } from './lib/ledger.ts';
import { type Load, startLoad } from './lib/load.ts';
import { type Postgres, startPostgres } from './lib/postgres.ts';
import { createPosthornHost, type PosthornHost } from './lib/posthorn-host.ts';
import { during } from './lib/processes.ts';
import { createRandom } from './lib/random.ts';
import { type RecordingReceiver, startRecordingReceiver } from './lib/recording-receiver.ts';
import { Broken, type Figures, promised, type Run, type Scenario } from './lib/scenario.ts';
import { type Sequences, startSequences } from './lib/sequences.ts';

const PLAIN = 6;
const ORDERED = 3;
const KEYS = [null, 'a'] as const;
const RATED = 2;
const LIMIT_A_SECOND = 10;
const LOAD_A_SECOND = 150;
/** Receivers that are cut off are tried again soon and often, so that the end is awaited for seconds only. */
const SETTINGS = {
  POSTHORN_RETRY_SCHEDULE: 'exponential(base=200ms,factor=2,max=5s,attempts=100)',
  POSTHORN_DELIVERY_TIMEOUT: '5s',
  POSTHORN_CIRCUIT: 'failures=10,over=5s,probe=1s,max=3s',
};
const TIMEOUT_MS = 5_000;
/** Deliveries that wait all the time under this load, on a machine that is busy otherwise. */
const FEW = 300;
/** A worker that is started has to make requests within this time. */
const USEFUL_MS = 5_000;
/** Other work on the machine slows the start of a process. */
const BUSY = 5;
const MOST_UNEVEN = 0.2;
const SPREAD_TIMES = 15;
/** Receivers may be strict about five minutes. */
const MOST_CLOCK_S = 240;

export const hosts: Scenario = {
  name: 'hosts',
  promise:
    'eight hosts with clocks apart are killed, cut off and slowed at random: nothing accepted is lost, order and rates hold, work is spread',
  quick: true,
  timeoutMs: 900_000,
  async run(run) {
    const seed = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);
    const random = createRandom(seed);
    console.log(`hosts: CHAOS_SEED=${seed} makes these faults again`);
    const network = makeHostNetwork(run);
    const { workers, apis, receiver, url, postgres, victims } = await startHosts(
      run,
      network,
      random.between,
    );
    const offsets = Object.fromEntries(
      [...workers, ...apis].map(({ host, clockOffset }) => [host.address, clockOffset]),
    );
    const subscriptions = await subscribe(url, receiver.url);
    const target = { host: new URL(url).hostname, port: Number(new URL(url).port) };
    const load = startLoad({ ...target, subscriptionId: subscriptions.plain, rate: LOAD_A_SECOND });
    run.onEnd(() => load.stop());
    // Below the limit, so that what waited is sent at the limit.
    const rated = startLoad({
      ...target,
      subscriptionId: subscriptions.rated,
      rate: 0.5 * LIMIT_A_SECOND * RATED,
      connections: 4,
    });
    run.onEnd(() => rated.stop());
    const sequences = startSequences({ url, subscriptionIds: subscriptions.ordered, keys: KEYS });
    run.onEnd(() => sequences.stop());

    const figures: Record<string, string | number> = { seed, 'slowed by': network.slowedBy };
    const calmMs = run.quick ? 5_000 : 20_000;
    figures['a new worker is useful after, ms'] = await becomesUseful(
      workers.at(-1) as PosthornHost,
      receiver,
    );
    figures['uneven before, %'] = await measureSpread(workers, receiver, calmMs);

    const faults: Fault[] = [];
    const endAt = Date.now() + (run.quick ? 15_000 : 600_000);
    await makeFaults({
      victims,
      randoms: [createRandom(seed + 1), createRandom(seed + 2)],
      endAt,
      mostAwayMs: run.quick ? 4_000 : 45_000,
      mostPauseMs: run.quick ? 2_000 : 8_000,
      onFault(fault) {
        faults.push(fault);
        run.progress(`${faults.length} faults, ${load.accepted.size} accepted`);
      },
    });
    await until('all are up', async () => {
      const all = await Promise.all([...apis, ...workers].map(isReady));
      return all.every(Boolean);
    });
    const wellAt = Date.now();
    await until('webhooks are accepted again', () => load.lastAcceptedAt > wellAt);
    await untilFewAreOwed(postgres);
    figures['uneven after, %'] = await measureSpread(workers, receiver, calmMs);
    await Promise.all([load.stop(), rated.stop(), sequences.stop()]);

    const counted = Object.groupBy(faults, ({ kind }) => kind);
    figures.faults = Object.entries(counted)
      .map(([kind, some]) => `${some?.length} ${kind}`)
      .join(', ');
    const byThemselves = [...apis, ...workers].flatMap(({ endedByItself }) => endedByItself);
    promised(byThemselves.length === 0, `a process ended by itself: ${byThemselves[0]}`);
    const ledger = await settle({ plain: load, rated, sequences, receiver, postgres, faults });
    const requests = await receiver.requests();
    const { violations, late } = judgeOrder(
      requests.filter(({ path }) => path.startsWith('/order/')),
      offsets,
    );
    promised(
      violations.length === 0,
      `${violations.length} times out of order: ${violations.slice(0, 5).join('; ')}`,
    );
    const most = mostInWindow(
      requests.filter(({ path }) => path.startsWith('/rate/')),
      offsets,
    );
    const allowed = most.seconds * LIMIT_A_SECOND;
    // A tenth of the limit may start at once, and a new owner starts with one.
    promised(
      most.requests <= allowed + 0.1 * LIMIT_A_SECOND + 1,
      `${most.requests} requests were begun in ${most.seconds} s, where ${allowed} are allowed`,
    );
    return {
      ...figures,
      ...ledger,
      'out of order': 0,
      'came late from hosts that were cut off': late,
      [`most in ${most.seconds} s where ${allowed} are allowed`]: most.requests,
    };
  },
};

async function startHosts(
  run: Run,
  network: HostNetwork,
  between: (min: number, max: number) => number,
) {
  const database = network.addHost('db');
  const postgres = await startPostgres(run, {
    host: database,
    settings: { max_connections: '300' },
  });
  const receivers = network.addHost('receivers');
  const receiver = await startRecordingReceiver(run, receivers);
  const addPosthorn = (name: string, role: string) =>
    createPosthornHost(run, {
      host: network.addHost(name),
      databaseUrl: postgres.url,
      clockOffset: between(-MOST_CLOCK_S, MOST_CLOCK_S),
      env: {
        ...SETTINGS,
        POSTHORN_ROLE: role,
        POSTHORN_ALLOW_NETWORKS: network.cidr,
        POSTHORN_ALLOW_PORTS: '*',
      },
    });
  const apis = [addPosthorn('api1', 'api'), addPosthorn('api2', 'api')];
  const workers = [
    addPosthorn('worker1', 'worker'),
    addPosthorn('worker2', 'worker'),
    addPosthorn('worker3', 'worker'),
  ];
  const balancer = network.addHost('balancer');
  const listen = `${balancer.address}:8000`;
  await startBalancer(run, {
    listen,
    servers: apis.map(({ host }) => `${host.address}:8000`),
    through: balancer.through,
  });
  await apis[0]?.start();
  // The last one comes later, when there is load.
  await Promise.all([apis[1]?.start(), ...workers.slice(0, -1).map((worker) => worker.start())]);
  const posthorns: Victim[] = [...apis, ...workers].map(({ host, giveUp, start }) => ({
    host,
    kinds: ['kill', 'power', 'cut', 'slow'],
    beforeEnd: giveUp,
    start,
  }));
  const victims: Victim[] = [
    ...posthorns,
    { host: database, kinds: ['kill', 'cut', 'slow'], start: () => postgres.start() },
    { host: receivers, kinds: ['cut', 'slow'] },
  ];
  return { workers, apis, receiver, url: `http://${listen}`, postgres, victims };
}

async function subscribe(url: string, receiverUrl: string) {
  const make = (path: string, count: number, options: object) =>
    Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const response = await fetch(`${url}/v1/subscriptions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ url: `${receiverUrl}/${path}/${i}`, event_types: [], ...options }),
        });
        if (!response.ok) throw new Error(`subscribe: ${response.status} ${await response.text()}`);
        return ((await response.json()) as { id: number }).id;
      }),
    );
  return {
    plain: await make('plain', PLAIN, {}),
    ordered: await make('order', ORDERED, { ordering: 'strict' }),
    rated: await make('rate', RATED, { rate_limit: { limit: LIMIT_A_SECOND, per: '1s' } }),
  };
}

/** Starts a worker, and returns after how long it has made a request. */
async function becomesUseful(worker: PosthornHost, receiver: RecordingReceiver): Promise<number> {
  const startedAt = Date.now();
  const makesRequest = async () => {
    await until(
      'it has made a request',
      async () => (await receiver.countOf(worker.host.address)) > 0,
    );
    return Date.now() - startedAt;
  };
  // It sends before its API is up.
  const [tookMs] = await Promise.all([makesRequest(), worker.start()]);
  promised(tookMs < BUSY * USEFUL_MS, `a new worker made its first request after ${tookMs} ms`);
  return tookMs;
}

/**
 * Returns how far the workers are from an even share of the requests in a time without faults, in percent. A worker that
 * has just started has its share of the backlogs after half a minute, and other work on the machine slows one more than
 * another, so it may take a few such times until the share is even.
 */
async function measureSpread(
  workers: readonly PosthornHost[],
  receiver: RecordingReceiver,
  ms: number,
): Promise<number> {
  const measured: number[][] = [];
  while (measured.length < SPREAD_TIMES) {
    const countAll = () => Promise.all(workers.map(({ host }) => receiver.countOf(host.address)));
    const before = await countAll();
    await during(ms);
    const after = await countAll();
    const counts = after.map((count, i) => count - (before[i] ?? 0));
    const uneven = unevenness(counts);
    if (uneven <= MOST_UNEVEN) return Math.round(100 * uneven);
    measured.push(counts);
  }
  throw new Broken(
    `the workers made unequal numbers of requests in times of ${ms} ms: ${measured.map((counts) => counts.join(', ')).join('; ')}`,
  );
}

async function isReady({ host }: PosthornHost): Promise<boolean> {
  const response = await fetch(`http://${host.address}:8000/readyz`, {
    signal: AbortSignal.timeout(5_000),
  });
  return response.ok;
}

/** @throws Broken saying what waits, if it does not become less. */
async function untilFewAreOwed(postgres: Postgres): Promise<void> {
  await until('few are owed', async () => (await countOwed(postgres)) < FEW).catch(async () => {
    const owed = await postgres.query<{ url: string; state: string; count: string }>(
      `select s.url, d.state, count(*) from posthorn.deliveries d join posthorn.subscriptions s on s.id = d.subscription_id
       where d.state in ('pending', 'held') group by 1, 2 order by 3 desc limit 5`,
    );
    throw new Broken(`too much waits after the faults: ${JSON.stringify(owed)}`);
  });
}

async function countOwed(postgres: Postgres): Promise<number> {
  const [row] = await postgres.query<{ owed: number }>(
    `select count(*)::integer as owed from posthorn.deliveries where state in ('pending', 'held')`,
  );
  return row?.owed ?? Number.POSITIVE_INFINITY;
}

/** Waits until nothing is owed, and compares what was accepted with what the receiver has answered with success. */
async function settle({
  plain,
  rated,
  sequences,
  receiver,
  postgres,
  faults,
}: {
  readonly plain: Load;
  readonly rated: Load;
  readonly sequences: Sequences;
  readonly receiver: RecordingReceiver;
  readonly postgres: Postgres;
  readonly faults: readonly Fault[];
}): Promise<Figures> {
  await until('nothing is owed', async () => (await countOwed(postgres)) === 0, 300_000);
  const requests = await receiver.requests();
  const succeeded = requests.filter(
    ({ status, answeredAt }) => status === 200 && answeredAt !== null,
  );
  return await settleLedger({
    load: {
      accepted: new Map([...plain.accepted, ...rated.accepted, ...sequences.accepted]),
      unsure: plain.unsure + rated.unsure,
    },
    receiver: {
      url: receiver.url,
      count: async () => requests.length,
      release: async () => {},
      receipts: () =>
        succeeded.map(({ webhookId, arrivedAt, timestamp }) => ({
          webhookId,
          at: arrivedAt,
          timestamp,
        })),
    },
    postgres,
    faults: faults.flatMap(momentsOf),
    inFlightMs: TIMEOUT_MS,
    receiverWasWell: false,
  });
}

/** Outcomes are lost all the time while a host is away, and for the time of an attempt after that. */
function momentsOf({ from, to }: Fault): number[] {
  const moments: number[] = [];
  for (let at = from; at < to + TIMEOUT_MS; at += 1_000) moments.push(at);
  return moments;
}
