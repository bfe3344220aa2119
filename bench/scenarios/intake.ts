import {
  alternating,
  type Bench,
  costOf,
  type Measurement,
  runLoad,
  type Scenario,
  warmUpMs,
  withSide,
} from '../lib/bench.ts';
import { startProgram } from '../lib/processes.ts';
import { ordinary, posthorn, SECRET, type Side } from '../lib/sides.ts';

const SCENARIO = 'intake';
const OPEN_LOOP_RATE = 500;

export const intake: Scenario = {
  name: SCENARIO,
  what: 'Intake without delivery: 64 connections, bodies of 490 bytes; then 500 a second in an open loop, for the latency',
  run: (bench) => {
    let group = 0;
    return alternating(bench, [
      ['ordinary', async (round) => (await measure(bench, ordinary, round, API.ordinary)).measured],
      [
        'posthorn',
        async (round) => {
          const { measured, perCommit } = await measure(bench, posthorn, round, API.posthorn);
          group = Math.max(1, Math.round(perCommit));
          return { ...measured, note: `${group} webhooks a transaction` };
        },
      ],
      ['floor: intake function', (round) => floor(bench, round, 'floor: intake function', 100)],
      [FLOOR_SAME_GROUPS, (round) => floor(bench, round, FLOOR_SAME_GROUPS, group)],
      [FLOOR_HTTP, (round) => fastifyAlone(bench, round)],
    ]);
  },
};

/** Calls the function with as many webhooks as posthorn had in a transaction just before. */
const FLOOR_SAME_GROUPS = 'floor: intake function, same groups';
const FLOOR_HTTP = 'floor: fastify alone';
const CONNECTIONS = 64;
const BODY_BYTES = 490;
const API = {
  ordinary: { ORDINARY_ROLE: 'api' },
  posthorn: { POSTHORN_ROLE: 'api' },
};

async function measure(
  bench: Bench,
  side: Side,
  round: number,
  env: Record<string, string>,
): Promise<{ measured: Measurement; perCommit: number }> {
  return await withSide(bench, side, { env }, async (running) => {
    const path = await running.subscribe(bench.receiverUrl('/ok'));
    const load = {
      port: running.port,
      paths: [path],
      secret: SECRET,
      bodyBytes: BODY_BYTES,
      connections: CONNECTIONS,
    };
    await runLoad({ ...load, durationMs: warmUpMs(bench) });
    await bench.postgres.settle();
    let perSecond = 0;
    let perCommit = 0;
    const commitsBefore = await bench.postgres.commits(running.databaseUrl);
    const cost = await costOf(bench, running, async () => {
      const { accepted, startedAt, endedAt } = await runLoad({
        ...load,
        durationMs: bench.seconds * 1000,
      });
      perSecond = (accepted / (endedAt - startedAt)) * 1000;
      const commits = (await bench.postgres.commits(running.databaseUrl)) - commitsBefore;
      perCommit = accepted / Math.max(1, commits);
      return accepted;
    });
    const { latencyMs } = await runLoad({
      ...load,
      durationMs: bench.seconds * 1000,
      rate: OPEN_LOOP_RATE,
    });
    const measured: Measurement = {
      scenario: SCENARIO,
      side: side.name,
      round,
      perSecond,
      latencyMs,
      loop: 'open',
      ...cost,
    };
    return { measured, perCommit };
  });
}

/** Calls the SQL function of intake directly, from one program over two connections. */
async function floor(
  bench: Bench,
  round: number,
  side: string,
  batch: number,
): Promise<Measurement> {
  return await withSide(bench, posthorn, { env: { POSTHORN_ROLE: 'api' } }, async (running) => {
    const program = startProgram('floor.ts');
    try {
      await bench.postgres.settle();
      const perSecond = await program.call<number>(
        'intakeFunction',
        running.databaseUrl,
        batch,
        BODY_BYTES,
        bench.seconds * 1000,
      );
      return {
        scenario: SCENARIO,
        side,
        round,
        perSecond,
        note: `${batch} webhooks a call, two connections`,
      };
    } finally {
      await program.stop();
    }
  });
}

/** Sends the same load to a fastify route that reads bodies and discards them. */
async function fastifyAlone(bench: Bench, round: number): Promise<Measurement> {
  const program = startProgram('floor.ts');
  try {
    const load = {
      port: await program.call<number>('serveNothing'),
      paths: ['/'],
      secret: SECRET,
      bodyBytes: BODY_BYTES,
      connections: CONNECTIONS,
    };
    await runLoad({ ...load, durationMs: warmUpMs(bench) });
    const { accepted, startedAt, endedAt } = await runLoad({
      ...load,
      durationMs: bench.seconds * 1000,
    });
    const perSecond = (accepted / (endedAt - startedAt)) * 1000;
    return { scenario: SCENARIO, side: FLOOR_HTTP, round, perSecond };
  } finally {
    await program.stop();
  }
}
