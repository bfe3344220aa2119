import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Arrivals,
  type Bench,
  type Measurement,
  percentilesOf,
  type Scenario,
  untilNothingIsDue,
  untilReceived,
  warmUpMs,
  withSide,
} from '../lib/bench.ts';
import { nowMs, startProgram } from '../lib/processes.ts';
import { ordinary, posthorn, type Running, SECRET } from '../lib/sides.ts';
import { cpuSecondsOfTree } from '../lib/usage.ts';
import type { Sent } from '../programs/application.ts';
import type { LoadResult } from '../programs/load.ts';

const SCENARIO = 'at rest';
const RATES = [1, 20, 200, 500];
const WAYS = ['ingest', 'by type', 'SQL'] as const;
const FLOOR = 'floor: commit, then POST';
/**
 * A connection of Postgres reports its commits at most once a second, and the last ones when it has been idle for
 * ten seconds. So counting waits for those of the warm-up, and begins a while after the load.
 */
const IDLE_REPORT_MS = 10_500;
const leadMs = ({ quick }: Bench) => (quick ? 200 : 1_200);
const ratesOf = ({ quick }: Bench) => (quick ? [200] : RATES);
/** The silence before a lone webhook, and how often it is repeated. */
const SILENCE_MS = 60_000;
const LONE_WEBHOOKS = 5;

export const atRest: Scenario = {
  name: SCENARIO,
  what: `${RATES.join(', ')} webhooks a second in an open loop, and a lone webhook after a minute of silence: the time from when a webhook is due until its first byte reaches the receiver, and its cost; sent to one subscription, by event type, and by SQL; beside a program that only commits the bytes and posts them`,
  async run(bench) {
    const measurements: Measurement[] = [];
    for (let round = 1; round <= bench.rounds; round++) {
      for (const measure of [measureFloor, measurePosthorn, measureOrdinary])
        measurements.push(...(await measure(bench, round)));
    }
    return [...measurements, ...(await measureLoneWebhooks(bench))];
  },
};

/** Something that sends webhooks to the receiver's path `/arrivals`, in one of the ways. */
interface Sender {
  readonly name: string;
  /** The process whose CPU counts as that of the service. */
  readonly pid: number;
  readonly databaseUrl: string;
  /** Sends at fixed times. Returns the times of the commits, if the sender knows them. */
  send(rate: number, durationMs: number): Promise<Sent['commits'] | undefined>;
  stop(): Promise<void>;
}

function httpSender(
  name: string,
  { pid, databaseUrl, port }: Pick<Running, 'pid' | 'databaseUrl' | 'port'>,
  path: string,
): Sender {
  // Kept, so that the start of a process does not disturb what it measures.
  const program = startProgram('load.ts');
  return {
    name,
    pid,
    databaseUrl,
    async send(rate, durationMs) {
      const { refused } = await program.call<LoadResult>('run', {
        port,
        paths: [path],
        secret: SECRET,
        bodyBytes: 490,
        connections: rate === 1 ? 1 : 32,
        durationMs,
        rate,
        stamped: true,
      });
      if (Object.keys(refused).length > 0)
        throw new Error(`the service refused webhooks: ${JSON.stringify(refused)}`);
      return undefined;
    },
    stop: () => program.stop(),
  };
}

function sqlSender({ pid, databaseUrl }: Running): Sender {
  const program = startProgram('application.ts');
  return {
    name: 'SQL',
    pid,
    databaseUrl,
    async send(rate, durationMs) {
      return (await program.call<Sent>('send', { databaseUrl, rate, durationMs })).commits;
    },
    stop: () => program.stop(),
  };
}

async function senderOf(bench: Bench, running: Running, way: (typeof WAYS)[number]) {
  const path = await running.subscribe(
    bench.receiverUrl('/arrivals'),
    way === 'ingest' ? undefined : ['order.*'],
  );
  if (way === 'SQL') return sqlSender(running);
  return httpSender(way, running, way === 'ingest' ? path : '/v1/webhooks');
}

async function measurePosthorn(bench: Bench, round: number): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  for (const way of WAYS) {
    await withSide(bench, posthorn, { statementTimes: true }, async (running) => {
      const sender = await senderOf(bench, running, way);
      measurements.push(...(await measureRates(bench, sender, round, ratesOf(bench))));
      await untilNothingIsDue(running);
    });
  }
  return measurements;
}

/** The ordinary design has only one of the ways. It is measured at one rate, for comparison. */
async function measureOrdinary(bench: Bench, round: number): Promise<Measurement[]> {
  return await withSide(bench, ordinary, { statementTimes: true }, async (running) => {
    const path = await running.subscribe(bench.receiverUrl('/arrivals'));
    return await measureRates(bench, httpSender('ordinary', running, path), round, [200]);
  });
}

async function measureFloor(bench: Bench, round: number): Promise<Measurement[]> {
  return await withFloor(bench, (sender) => measureRates(bench, sender, round, ratesOf(bench)));
}

async function withFloor<T>(bench: Bench, use: (sender: Sender) => Promise<T>): Promise<T> {
  const databaseUrl = await bench.postgres.createDatabase({ statementTimes: true });
  const floor = startProgram('floor.ts');
  try {
    const to = bench.receiverUrl('/arrivals');
    const port = await floor.call<number>('commitThenPost', databaseUrl, to);
    return await use(httpSender(FLOOR, { pid: floor.pid, databaseUrl, port }, '/'));
  } finally {
    await floor.stop();
    await bench.postgres.dropDatabase(databaseUrl);
  }
}

async function measureRates(
  bench: Bench,
  sender: Sender,
  round: number,
  rates: readonly number[],
): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  try {
    await bench.postgres.settle();
    await bench.receiver.call('reset');
    await warmUp(bench, sender);
    if (!bench.quick) await sleep(IDLE_REPORT_MS);
    for (const rate of rates) {
      bench.say(`round ${round} of ${bench.rounds}: ${sender.name}, ${rate}/s`);
      measurements.push(await measureRate(bench, sender, round, rate));
    }
  } finally {
    await sender.stop();
  }
  return measurements;
}

/** Sends until code is compiled and connections are made. */
async function warmUp(bench: Bench, { send }: Sender): Promise<void> {
  const durationMs = warmUpMs(bench);
  await send(500, durationMs);
  await untilReceived(bench, Math.ceil((durationMs * 500) / 1000));
}

async function measureRate(
  bench: Bench,
  sender: Sender,
  round: number,
  rate: number,
): Promise<Measurement> {
  await bench.receiver.call('reset');
  const durationMs = leadMs(bench) + bench.seconds * 1000;
  const sending = sender.send(rate, durationMs);
  await sleep(leadMs(bench));
  const before = await countersOf(bench, sender);
  const commits = await sending;
  const after = await countersOf(bench, sender);
  await untilReceived(bench, Math.ceil((durationMs * rate) / 1000));
  const arrivals = (await bench.receiver.call<Arrivals>('arrivals')).filter(
    ([dueAtUs]) => dueAtUs >= before.atMs * 1000,
  );
  const webhooks = Math.max(1, after.received - before.received);
  const eachMs = (name: 'serviceCpu' | 'postgresCpu') =>
    ((after[name] - before[name]) * 1000) / webhooks;
  const sinceCommit = commits && untilFirstByte(commits, arrivals);
  return {
    scenario: SCENARIO,
    side: `${sender.name}, ${rate}/s`,
    round,
    perSecond: null,
    latencyMs: percentilesOf(arrivals.map(([due, at]) => at - due)),
    loop: 'open',
    cpuSecondsPerThousand: { service: eachMs('serviceCpu'), postgres: eachMs('postgresCpu') },
    walBytesPerWebhook: (after.walBytes - before.walBytes) / webhooks,
    facts: {
      transactions: (after.commits - before.commits) / webhooks,
      ...(after.statementMs === null
        ? {}
        : { statementMs: (after.statementMs - (before.statementMs ?? 0)) / webhooks }),
      ...sinceCommit?.facts,
    },
    ...(sinceCommit && { note: sinceCommit.note }),
  };
}

/** Measures from when the application knows that a webhook is committed. Its first byte can arrive earlier. */
function untilFirstByte(commits: Sent['commits'], arrivals: Arrivals) {
  const committedAt = new Map(commits);
  const { p50, p99 } = percentilesOf(
    arrivals.map(([due, at]) => at - (committedAt.get(due) as number)),
  );
  return {
    facts: { fromCommitP50: p50, fromCommitP99: p99 },
    note: `from the commit to the first byte: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`,
  };
}

async function countersOf({ postgres, receiver }: Bench, { pid, databaseUrl }: Sender) {
  const { received } = await receiver.call<{ received: number }>('received');
  return {
    atMs: nowMs(),
    received,
    serviceCpu: cpuSecondsOfTree(pid),
    postgresCpu: postgres.pid === null ? 0 : cpuSecondsOfTree(postgres.pid),
    walBytes: await postgres.walBytes(),
    commits: await postgres.commits(databaseUrl),
    statementMs: await postgres.statementMs(databaseUrl),
  };
}

/**
 * Sends a single webhook after a silence, a few times. Each way has a service of its own, and all of them are
 * silent at the same time, so that a minute of silence is only waited for once.
 */
async function measureLoneWebhooks(bench: Bench): Promise<Measurement[]> {
  const silenceMs = bench.quick ? 1_000 : Math.min(SILENCE_MS, bench.seconds * 6_000);
  const latenciesUs = new Map<string, number[]>();
  const shoot = async (senders: readonly Sender[]) => {
    for (const sender of senders) {
      await bench.receiver.call('reset');
      await warmUp(bench, sender);
    }
    for (let nth = 1; nth <= (bench.quick ? 2 : LONE_WEBHOOKS); nth++) {
      bench.say(`lone webhook ${nth} after ${silenceMs / 1000} s of silence`);
      for (const sender of senders) {
        await sleep(silenceMs / senders.length);
        await bench.receiver.call('reset');
        await sender.send(1, 1);
        await untilReceived(bench, 1);
        const [[due, at]] = (await bench.receiver.call<Arrivals>('arrivals')) as [Arrivals[0]];
        latenciesUs.set(sender.name, [...(latenciesUs.get(sender.name) ?? []), at - due]);
      }
    }
  };
  await withWays(bench, bench.quick ? ['ingest'] : WAYS, [], (senders) =>
    withFloor(bench, async (floor) => {
      try {
        await shoot([floor, ...senders]);
      } finally {
        await floor.stop();
      }
    }),
  );
  return [...latenciesUs].map(([name, microseconds]) => ({
    scenario: SCENARIO,
    side: `${name}, a lone webhook`,
    round: 1,
    perSecond: null,
    latencyMs: percentilesOf(microseconds),
    loop: 'open',
    facts: { maxMs: Math.max(...microseconds) / 1000 },
    note: `${microseconds.length} webhooks, each after ${silenceMs / 1000} s of silence; at most ${(Math.max(...microseconds) / 1000).toFixed(1)} ms`,
  }));
}

/** Starts a service for each of the ways. */
async function withWays(
  bench: Bench,
  [way, ...others]: readonly (typeof WAYS)[number][],
  senders: readonly Sender[],
  use: (senders: readonly Sender[]) => Promise<void>,
): Promise<void> {
  if (way === undefined) return await use(senders);
  await withSide(bench, posthorn, {}, async (running) => {
    const sender = await senderOf(bench, running, way);
    try {
      await withWays(bench, others, [...senders, sender], use);
    } finally {
      await sender.stop();
    }
  });
}
