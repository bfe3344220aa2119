import { LEASE_SECONDS } from '#src/maintenance/worker-beat.sql.ts';
import { until } from '../helpers/until.ts';
import { settleLedger } from './lib/ledger.ts';
import { startLoad } from './lib/load.ts';
import { startPostgres } from './lib/postgres.ts';
import { startPosthorn } from './lib/posthorn.ts';
import { during, freePort } from './lib/processes.ts';
import { startReceiver } from './lib/receiver.ts';
import { promised, type Scenario } from './lib/scenario.ts';
import { mostToSilent } from './lib/silent-receivers.ts';

const MAX_IN_FLIGHT = 100;
/** So long that no request ends by itself before the freeze: each that is sent again was open then. */
const DELIVERY_TIMEOUT_MS = 120_000;
/** Far more than the lease and the five seconds until somebody looks; a job that nobody frees is locked for 4 hours. */
const BOUND_MS = 120_000;

export const frozen: Scenario = {
  name: 'frozen',
  promise:
    'a worker is frozen (SIGSTOP): others take over; when it goes on, its results change nothing',
  quick: false,
  timeoutMs: 150_000,
  async run(run) {
    const postgres = await startPostgres(run);
    const receiver = await startReceiver(run);
    const port = await freePort();
    const databaseUrl = postgres.url;
    const env = {
      POSTHORN_ROLE: 'worker',
      POSTHORN_DELIVERY_TIMEOUT: `${DELIVERY_TIMEOUT_MS}ms`,
    };
    const api = startPosthorn(run, {
      databaseUrl,
      env: { POSTHORN_ROLE: 'api', PORT: String(port) },
    });
    await api.up();
    const late = startPosthorn(run, {
      databaseUrl,
      env: { ...env, POSTHORN_MAX_IN_FLIGHT: String(MAX_IN_FLIGHT) },
    });
    await late.up();
    const load = startLoad({
      port,
      // A receiver that has not answered yet is given ten requests at once.
      subscriptionId: await Promise.all(
        Array.from({ length: 10 }, () => api.subscribe(`${receiver.url}/hang`)),
      ),
      rate: 1_000,
    });
    await until('there are 600 webhooks', () => load.accepted.size >= 600);
    await load.stop();
    const open = mostToSilent(MAX_IN_FLIGHT);
    await until(
      'it has as many requests open as it may',
      async () => (await receiver.count()) >= open,
    );

    const frozenAt = Date.now();
    late.kill('SIGSTOP');
    const [lease] = await postgres.query<{ ends: number }>(
      `select (extract(epoch from min(seen_at)) + ${LEASE_SECONDS})::float8 * 1000 as ends
       from posthorn.workers where pid = $1`,
      [late.pid],
    );
    const other = startPosthorn(run, { databaseUrl, env });
    await other.up();
    // The requests of the frozen one are answered; it cannot know.
    await receiver.release();
    await until(
      'the other has delivered all',
      async () => {
        const [row] = await postgres.query<{ owed: number }>(
          `select count(*)::integer as owed from posthorn.deliveries where state in ('pending', 'held')`,
        );
        return row?.owed === 0;
      },
      BOUND_MS,
    );
    const takenOverMs = Date.now() - frozenAt;
    late.kill('SIGCONT');
    const extra = await until('all its late results are logged', async () => {
      const [row] = await postgres.query<{ extra: number }>(
        'select count(*)::integer as extra from posthorn.delivery_attempts where attempt_number is null',
      );
      return row !== undefined && row.extra >= open && row.extra;
    });
    await until('it is known as alive again', async () => {
      const [row] = await postgres.query<{ workers: number }>(
        'select count(*)::integer as workers from posthorn.workers where pid = $1',
        [late.pid],
      );
      return row !== undefined && row.workers > 0;
    });
    promised(late.running, 'it did not survive');
    // And it works again: alone, it delivers.
    other.kill('SIGTERM');
    await other.exited();
    const again = startLoad({
      port,
      subscriptionId: await api.subscribe(`${receiver.url}/ok`),
      rate: 200,
    });
    await during(1_000);
    await again.stop();
    const figures = await settleLedger({
      load: { accepted: new Map([...load.accepted, ...again.accepted]) },
      receiver,
      postgres,
      faults: [frozenAt],
      inFlightMs: DELIVERY_TIMEOUT_MS,
      sentAgainFrom: lease?.ends ?? Number.POSITIVE_INFINITY,
      timeoutMs: 30_000,
    });
    promised(
      figures.duplicates === open,
      `${figures.duplicates} were sent twice, and ${open} requests were open`,
    );
    return {
      ...figures,
      'taken over after, ms': takenOverMs,
      'late attempts logged as extra': extra,
    };
  },
};
