import { until } from '../helpers/until.ts';
import { settleLedger } from './lib/ledger.ts';
import { startLoad } from './lib/load.ts';
import { startPostgres } from './lib/postgres.ts';
import { startPosthorn } from './lib/posthorn.ts';
import { freePort } from './lib/processes.ts';
import { startReceiver } from './lib/receiver.ts';
import { promised, type Scenario } from './lib/scenario.ts';
import { mostToSilent } from './lib/silent-receivers.ts';

const MAX_IN_FLIGHT = 1_250;
const IN_FLIGHT = mostToSilent(MAX_IN_FLIGHT);
const GRACE_MS = 5_000;

export const stop: Scenario = {
  name: 'stop',
  promise: 'SIGTERM with 500 requests in flight to hung receivers: it ends within the grace period',
  quick: true,
  timeoutMs: 90_000,
  async run(run) {
    const postgres = await startPostgres(run);
    const receiver = await startReceiver(run);
    const port = await freePort();
    const env = {
      PORT: String(port),
      POSTHORN_DELIVERY_TIMEOUT: '60s',
      POSTHORN_MAX_IN_FLIGHT: String(MAX_IN_FLIGHT),
      POSTHORN_SHUTDOWN_GRACE: `${GRACE_MS}ms`,
    };
    const first = startPosthorn(run, { databaseUrl: postgres.url, env });
    await first.up();
    const load = startLoad({
      port,
      // A receiver that has not answered yet is given ten requests at once.
      subscriptionId: await Promise.all(
        Array.from({ length: IN_FLIGHT / 10 }, () => first.subscribe(`${receiver.url}/hang`)),
      ),
      rate: 1_000,
    });
    await until('there are 700 webhooks', () => load.accepted.size >= 700);
    await load.stop();
    await until(
      `${IN_FLIGHT} requests are in flight`,
      async () => (await receiver.count()) >= IN_FLIGHT,
    );

    const stoppedAt = Date.now();
    first.kill('SIGTERM');
    const code = await first.exited();
    const exitedMs = Date.now() - stoppedAt;
    promised(code === 0, `it ended with ${code}`);
    promised(exitedMs <= GRACE_MS, `it took ${exitedMs} ms`);
    const [row] = await postgres.query<{
      locked: number;
      due: number;
      workers: number;
      owners: number;
      owed: number;
      spent: number;
    }>(`
      select
        (select count(*) from graphile_worker._private_jobs where locked_at is not null)::integer as locked,
        (select coalesce(sum(json_array_length(payload->'webhooks')), 0)
          from graphile_worker._private_jobs where is_available and run_at <= now())::integer as due,
        (select count(*) from posthorn.workers)::integer as workers,
        (select count(*) from posthorn.deliveries where state = 'pending')::integer as owed,
        (select count(*) from posthorn.backlogs where owner is not null)::integer as owners,
        (select count(*) from posthorn.deliveries where attempt_count > 0)::integer as spent`);
    promised(row?.locked === 0, `${row?.locked} jobs were left locked`);
    promised(row?.due === row?.owed, `${row?.owed} are owed, and ${row?.due} are due at once`);
    promised(row?.workers === 0, 'it is still known as alive');
    promised(row?.owners === 0, `${row?.owners} backlogs are still its own`);
    promised(row?.spent === 0, `${row?.spent} attempts were used up`);

    await receiver.release();
    const second = startPosthorn(run, { databaseUrl: postgres.url, env });
    await second.up();
    const figures = await settleLedger({
      load,
      receiver,
      postgres,
      faults: [stoppedAt],
      inFlightMs: 60_000,
    });
    return {
      ...figures,
      [`exit after, ms (grace ${GRACE_MS})`]: exitedMs,
      'jobs left locked': 0,
      'due again at once': row?.due ?? 0,
    };
  },
};
