import { until } from '../helpers/until.ts';
import { settleLedger } from './lib/ledger.ts';
import { startLoad } from './lib/load.ts';
import { startPostgres } from './lib/postgres.ts';
import { mostLinesASecond, startPosthorn } from './lib/posthorn.ts';
import { during, freePort } from './lib/processes.ts';
import { startReceiver } from './lib/receiver.ts';
import { promised, type Scenario } from './lib/scenario.ts';

export const stuck: Scenario = {
  name: 'stuck',
  promise:
    'no jobs can be taken for a minute (their table is locked): /readyz says so, and all goes on after',
  quick: false,
  timeoutMs: 150_000,
  async run(run) {
    const postgres = await startPostgres(run);
    const receiver = await startReceiver(run);
    const port = await freePort();
    const posthorn = startPosthorn(run, {
      databaseUrl: postgres.url,
      env: { PORT: String(port) },
    });
    await posthorn.up();
    const load = startLoad({
      port,
      subscriptionId: await posthorn.subscribe(`${receiver.url}/ok`),
      rate: 100,
    });
    run.onEnd(() => load.stop());
    await until('webhooks are delivered', async () => (await receiver.count()) > 100);
    const ready = async () => await posthorn.request('GET', '/readyz', undefined, 10_000);
    promised((await ready()).status === 200, '/readyz was not 200 while all was well');

    const from = Date.now();
    await postgres.query('begin');
    await postgres.query('lock table graphile_worker._private_jobs in access exclusive mode');
    const saidAfterMs = await until(
      '/readyz says that no jobs are taken',
      async () => {
        const answer = await ready();
        return answer.status === 503 && /No jobs/.test(await answer.text()) && Date.now() - from;
      },
      90_000,
    );
    promised(saidAfterMs > 55_000, `/readyz said so after ${saidAfterMs} ms already`);
    await postgres.query('rollback');
    const to = Date.now();
    await until('/readyz is 200 again', async () => (await ready()).status === 200);
    await until('webhooks are accepted again', () => load.lastAcceptedAt > to);
    await during(500);
    await load.stop();
    const most = mostLinesASecond(posthorn.log, from, Date.now());
    promised(most < 10, `${most} log lines in a second`);
    const figures = await settleLedger({
      load,
      receiver,
      postgres,
      faults: [from],
      inFlightMs: 10_000,
    });
    return {
      ...figures,
      '/readyz 503 after, ms': saidAfterMs,
      'slowest 503, ms': Math.round(load.slowestRefusalMs),
      'log lines a second at most': most,
    };
  },
};
