import { until } from '../helpers/until.ts';
import { settleLedger } from './lib/ledger.ts';
import { startLoad } from './lib/load.ts';
import { startPostgres } from './lib/postgres.ts';
import { startPosthorn } from './lib/posthorn.ts';
import { freePort } from './lib/processes.ts';
import { startReceiver } from './lib/receiver.ts';
import { promised, type Scenario } from './lib/scenario.ts';
import { mostToSilent } from './lib/silent-receivers.ts';

const MAX_IN_FLIGHT = 200;
/** Less than the 30 s after which a silent worker counts as dead: the lock of a killed one is gone at once. */
const BOUND_MS = 25_000;

export const takeover: Scenario = {
  name: 'takeover',
  promise:
    'one of two workers is killed with a full local queue: the other retries all within 25 s',
  quick: true,
  timeoutMs: 120_000,
  async run(run) {
    const postgres = await startPostgres(run);
    const receiver = await startReceiver(run);
    const port = await freePort();
    const databaseUrl = postgres.url;
    const api = startPosthorn(run, {
      databaseUrl,
      env: { POSTHORN_ROLE: 'api', PORT: String(port) },
    });
    await api.up();
    const subscriptionId = await Promise.all(
      Array.from({ length: 20 }, () => api.subscribe(`${receiver.url}/hang`)),
    );
    const load = startLoad({ port, subscriptionId, rate: 2_000 });
    await until('there are 1500 webhooks', () => load.accepted.size >= 1_500);
    await load.stop();
    // The only worker at first, so that all jobs are its own: in flight, and waiting in its memory.
    const env = {
      POSTHORN_ROLE: 'worker',
      POSTHORN_DELIVERY_TIMEOUT: '60s',
      POSTHORN_MAX_IN_FLIGHT: String(MAX_IN_FLIGHT),
    };
    const doomed = startPosthorn(run, { databaseUrl, env });
    await doomed.up();
    await until(
      'it has as many requests open as receivers that have not answered are given',
      async () => (await receiver.count()) >= mostToSilent(MAX_IN_FLIGHT),
    );
    const other = startPosthorn(run, {
      databaseUrl,
      env: { ...env, POSTHORN_MAX_IN_FLIGHT: '1000' },
    });
    await other.up();
    const countHeld = async () => {
      const [row] = await postgres.query<{ held: number }>(
        `select (
           select coalesce(sum(json_array_length(payload->'webhooks')), 0)
           from graphile_worker._private_jobs
           where locked_by in (select pool_id from posthorn.workers where pid = $1)
         )::integer + (
           select count(*) from posthorn.deliveries d
           join posthorn.backlogs b using (subscription_id)
           where d.state = 'held' and b.owner in (select pool_id from posthorn.workers where pid = $1)
         )::integer as held`,
        [doomed.pid],
      );
      return row?.held ?? 0;
    };
    // Deliveries without a free place at their receivers are held after half a second.
    const held = await until('it holds more than it has in flight', async () => {
      const count = await countHeld();
      return count > 200 && count;
    });
    const killedAt = Date.now();
    doomed.kill('SIGKILL');
    await receiver.release();
    const figures = await settleLedger({
      load,
      receiver,
      postgres,
      faults: [killedAt],
      inFlightMs: 60_000,
      timeoutMs: BOUND_MS + 5_000,
    });
    const last = Math.max(...receiver.receipts().map(({ at }) => at));
    promised(last - killedAt < BOUND_MS, `the last came ${last - killedAt} ms after the kill`);
    return { ...figures, 'held by the dead': held, 'all retried after, ms': last - killedAt };
  },
};
