import { until } from '../helpers/until.ts';
import { settleLedger } from './lib/ledger.ts';
import { startLoad } from './lib/load.ts';
import { makeNamespace } from './lib/network.ts';
import { startPostgres } from './lib/postgres.ts';
import { mostLinesASecond, startPosthorn } from './lib/posthorn.ts';
import { during, freePort } from './lib/processes.ts';
import { startReceiver } from './lib/receiver.ts';
import { promised, type Scenario } from './lib/scenario.ts';

const PARTITION_MS = 60_000;
const QUICKLY_MS = 6_000;
const GRACE_MS = 6_000;

export const partition: Scenario = {
  name: 'partition',
  promise:
    'packets to Postgres are dropped for a minute: 503 without a hang, others take over, it works again after',
  quick: false,
  timeoutMs: 300_000,
  async run(run) {
    const namespace = makeNamespace(run);
    const postgres = await startPostgres(run, { address: namespace.hostAddress });
    const receiver = await startReceiver(run, namespace.hostAddress);
    const port = await freePort();
    const network = {
      POSTHORN_ALLOW_NETWORKS: '127.0.0.0/8,10.231.0.0/16',
      POSTHORN_ALLOW_PORTS: new URL(receiver.url).port,
    };
    const cut = startPosthorn(run, {
      databaseUrl: postgres.url.replace('127.0.0.1', namespace.hostAddress),
      through: namespace.through,
      env: {
        ...network,
        HOST: namespace.address,
        PORT: String(port),
        POSTHORN_AUTH: 'off',
        POSTHORN_SHUTDOWN_GRACE: `${GRACE_MS}ms`,
      },
    });
    await cut.up();
    const other = startPosthorn(run, {
      databaseUrl: postgres.url,
      env: { ...network, POSTHORN_ROLE: 'worker' },
    });
    await other.up();
    const target = {
      host: namespace.address,
      port,
      subscriptionId: await cut.subscribe(`${receiver.url}/wait/200`),
      rate: 200,
    };
    const load = startLoad(target);
    run.onEnd(() => load.stop());
    await until('webhooks are delivered', async () => (await receiver.count()) > 200);

    const from = Date.now();
    namespace.cut(postgres.port);
    await during(2_000);
    const acceptedAtCut = load.accepted.size;
    await during(PARTITION_MS - 2_000);
    const acceptedMeanwhile = load.accepted.size - acceptedAtCut;
    promised(cut.running, `it did not survive: ${await Promise.race([cut.exited(), 'alive'])}`);
    const ready = await cut.request('GET', '/readyz', undefined, 10_000);
    // The other one has all that was owed, although Postgres has not noticed that the first is gone.
    const [row] = await postgres.query<{ owed: number }>(
      `select count(*)::integer as owed from posthorn.deliveries where state in ('pending', 'held')`,
    );
    namespace.mend();
    const to = Date.now();
    await until('webhooks are accepted again', () => load.lastAcceptedAt > to);
    const backMs = load.lastAcceptedAt - to;
    await during(1_000);
    await load.stop();

    promised(
      acceptedMeanwhile === 0,
      `${acceptedMeanwhile} were accepted although nothing could be committed`,
    );
    promised(ready.status === 503, `/readyz answered ${ready.status}`);
    promised((load.refused.hung ?? 0) === 0, `${load.refused.hung} requests hung`);
    promised((load.refused['503'] ?? 0) > 0, 'nobody was told 503');
    promised(load.malformed === 0, `${load.malformed} refusals were no problem+json`);
    promised(
      load.slowestRefusalMs < QUICKLY_MS,
      `a 503 took ${Math.round(load.slowestRefusalMs)} ms`,
    );
    promised(row?.owed === 0, `${row?.owed} deliveries were not taken over within a minute`);
    const most = mostLinesASecond(cut.log, from, Date.now());
    promised(most < 10, `${most} log lines in a second`);

    // The partitioned process is tested when it is the only one left.
    other.kill('SIGTERM');
    await other.exited();
    const again = startLoad(target);
    run.onEnd(() => again.stop());
    await during(2_000);
    await again.stop();
    const figures = await settleLedger({
      load: {
        accepted: new Map([...load.accepted, ...again.accepted]),
        unsure: load.unsure + again.unsure,
      },
      receiver,
      postgres,
      faults: [from],
      inFlightMs: 5_000,
    });
    await until(
      '/readyz is 200 again',
      async () => (await cut.request('GET', '/readyz')).status === 200,
    );

    // And it can be stopped while nothing answers.
    namespace.cut(postgres.port);
    const stoppedAt = Date.now();
    cut.kill('SIGTERM');
    await until('it ends', () => !cut.running);
    const exitedMs = Date.now() - stoppedAt;
    promised(exitedMs < GRACE_MS + 2_000, `it took ${exitedMs} ms to stop without answers`);
    return {
      ...figures,
      'answered 503': load.refused['503'] ?? 0,
      'slowest 503, ms': Math.round(load.slowestRefusalMs),
      'accepting again after, ms': backMs,
      'log lines a second at most': most,
      [`exit without answers after, ms (grace ${GRACE_MS})`]: exitedMs,
    };
  },
};
