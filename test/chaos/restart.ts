import { until } from '../helpers/until.ts';
import { settleLedger } from './lib/ledger.ts';
import { startLoad } from './lib/load.ts';
import { startPostgres } from './lib/postgres.ts';
import { mostLinesASecond, stackLines, startPosthorn } from './lib/posthorn.ts';
import { between, during, freePort } from './lib/processes.ts';
import { startReceiver } from './lib/receiver.ts';
import { promised, type Scenario } from './lib/scenario.ts';

const SENDING_AGAIN_MS = 30_000;
const MOST_LINES = 10;
/** The default time of an attempt, and a minute. */
const STUCK_MS = 75_000;

export const restart: Scenario = {
  name: 'restart',
  promise:
    'Postgres restarts as after a crash, under load: sending again within 30 s, nothing stranded',
  quick: true,
  timeoutMs: 900_000,
  async run(run) {
    const rounds = run.quick ? 2 : 30;
    const postgres = await startPostgres(run);
    const receiver = await startReceiver(run);
    const port = await freePort();
    const databaseUrl = postgres.url;
    const first = startPosthorn(run, { databaseUrl, env: { PORT: String(port) } });
    await first.up();
    const second = startPosthorn(run, { databaseUrl, env: { POSTHORN_ROLE: 'worker' } });
    await second.up();
    const load = startLoad({
      port,
      subscriptionId: await first.subscribe(`${receiver.url}/wait/50`),
      rate: 400,
    });
    run.onEnd(() => load.stop());
    const outages: { from: number; to: number }[] = [];
    let slowestMs = 0;
    for (let round = 1; round <= rounds; round++) {
      run.progress(`round ${round} of ${rounds}, ${load.accepted.size} accepted`);
      await during(between(500, 2_000));
      const from = Date.now();
      await postgres.stopImmediately();
      // Mostly a crash that is over at once, sometimes a reboot.
      await during(round % 5 === 0 ? 8_000 : between(0, 1_000));
      await postgres.start();
      const backAt = Date.now();
      const before = load.lastAcceptedAt;
      const count = await receiver.count();
      await until('webhooks are accepted and sent again', async () => {
        return load.lastAcceptedAt > before && (await receiver.count()) > count + 20;
      });
      slowestMs = Math.max(slowestMs, Date.now() - backAt);
      outages.push({ from, to: Date.now() });
    }
    await load.stop();
    const stoppedAt = Date.now();
    promised(first.running && second.running, 'a process did not survive');
    promised(
      slowestMs < SENDING_AGAIN_MS,
      `it took ${slowestMs} ms until webhooks were sent again`,
    );
    const figures = await settleLedger({
      load,
      receiver,
      postgres,
      faults: outages.map(({ from }) => from),
      inFlightMs: 5_000,
    });
    const settledMs = Date.now() - stoppedAt;
    promised(settledMs < STUCK_MS, `the last delivery was stuck for ${settledMs} ms`);
    await until(
      'no job is left',
      async () => {
        const [row] = await postgres.query<{ jobs: number }>(
          `select count(*)::integer as jobs from graphile_worker.jobs where task_identifier = 'deliver'`,
        );
        return row?.jobs === 0;
      },
      STUCK_MS,
    );
    const logs = [first.log, second.log];
    const most = Math.max(...logs.map((log) => mostLinesASecond(log)));
    promised(most < MOST_LINES, `${most} log lines in a second`);
    const stacks = Math.max(...logs.map(stackLines));
    promised(stacks <= rounds, `${stacks} lines of stack traces`);
    return {
      rounds,
      ...figures,
      'sending again after at most, ms': slowestMs,
      'last one settled after, ms': settledMs,
      'log lines a second at most': most,
    };
  },
};
