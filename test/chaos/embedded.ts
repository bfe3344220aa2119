import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { until } from '../helpers/until.ts';
import { settleLedger } from './lib/ledger.ts';
import { startLoad } from './lib/load.ts';
import { startPosthorn } from './lib/posthorn.ts';
import { between, during, freePort } from './lib/processes.ts';
import { startReceiver } from './lib/receiver.ts';
import { promised, type Scenario } from './lib/scenario.ts';

export const embedded: Scenario = {
  name: 'embedded',
  promise: 'the embedded Postgres is killed: it is started anew, nothing accepted is lost',
  quick: false,
  timeoutMs: 120_000,
  async run(run) {
    const rounds = run.quick ? 1 : 3;
    const receiver = await startReceiver(run);
    const port = await freePort();
    const dataDir = join(run.dir, 'data');
    const posthorn = startPosthorn(run, {
      env: { PORT: String(port), POSTHORN_DATA_DIR: dataDir },
    });
    await posthorn.up();
    const socketDir = readFileSync(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').split(
      '\n',
    )[4];
    const url = `postgresql://posthorn@/posthorn?host=${encodeURIComponent(socketDir ?? '')}`;
    const postmaster = () =>
      Number.parseInt(readFileSync(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8'), 10);
    run.onEnd(async () => {
      posthorn.kill('SIGTERM');
      await posthorn.exited();
    });
    const load = startLoad({
      port,
      subscriptionId: await posthorn.subscribe(`${receiver.url}/ok`),
      rate: 200,
    });
    run.onEnd(() => load.stop());
    const kills: number[] = [];
    let slowestMs = 0;
    for (let round = 1; round <= rounds; round++) {
      await during(between(500, 1_500));
      const before = await receiver.count();
      const killedAt = Date.now();
      kills.push(killedAt);
      process.kill(postmaster(), 'SIGKILL');
      await until(
        'webhooks are accepted and sent again',
        async () => load.lastAcceptedAt > killedAt + 500 && (await receiver.count()) > before + 50,
      );
      slowestMs = Math.max(slowestMs, Date.now() - killedAt);
    }
    await load.stop();
    promised(posthorn.running, 'it did not survive');
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    run.onEnd(() => client.end());
    const figures = await settleLedger({
      load,
      receiver,
      postgres: { query: async (text, values) => (await client.query(text, values)).rows },
      faults: kills,
      inFlightMs: 5_000,
    });
    return { rounds, ...figures, 'sending again after at most, ms': slowestMs };
  },
};
