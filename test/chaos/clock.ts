import { existsSync } from 'node:fs';
import { until } from '../helpers/until.ts';
import { settleLedger } from './lib/ledger.ts';
import { startLoad } from './lib/load.ts';
import { startPostgres } from './lib/postgres.ts';
import { startPosthorn } from './lib/posthorn.ts';
import { during, freePort } from './lib/processes.ts';
import { startReceiver } from './lib/receiver.ts';
import { type Figures, promised, type Scenario, Skipped } from './lib/scenario.ts';

const FAKETIME = '/usr/bin/faketime';
const OFFSET_S = 600;

export const clock: Scenario = {
  name: 'clock',
  promise: "a worker's clock is ten minutes off: what is due is due by the database's clock",
  quick: false,
  timeoutMs: 120_000,
  async run(run) {
    if (!existsSync(FAKETIME)) throw new Skipped('apt-get install faketime');
    const figures: Record<string, string | number> = {};
    for (const sign of ['+', '-']) Object.assign(figures, await withOffset(sign));
    return figures;

    async function withOffset(sign: string): Promise<Figures> {
      const dir = `${run.dir}/postgres${sign}`;
      const postgres = await startPostgres(run, { dir });
      const receiver = await startReceiver(run, '127.0.0.1', `receipts${sign}.txt`);
      const port = await freePort();
      const databaseUrl = postgres.url;
      const api = startPosthorn(run, {
        databaseUrl,
        env: { POSTHORN_ROLE: 'api', PORT: String(port) },
      });
      await api.up();
      const worker = startPosthorn(run, {
        databaseUrl,
        through: [FAKETIME, '-f', `${sign}${OFFSET_S}s`],
        env: {
          POSTHORN_ROLE: 'worker',
          POSTHORN_RETRY_SCHEDULE: '3s,3s',
          DONT_FAKE_MONOTONIC: '1',
        },
      });
      await worker.up();
      const load = startLoad({
        port,
        subscriptionId: await api.subscribe(`${receiver.url}/fail-once`),
        rate: 100,
      });
      await during(1_000);
      await load.stop();
      await until(
        'all have been tried again',
        async () => (await receiver.count()) === 2 * load.accepted.size,
        30_000,
      );
      const tried = new Map<string, number[]>();
      for (const { webhookId, at, timestamp } of receiver.receipts()) {
        tried.set(webhookId, [...(tried.get(webhookId) ?? []), at]);
        const off = timestamp - at / 1000;
        promised(
          Math.abs(off - Number(`${sign}${OFFSET_S}`)) < 5,
          `the worker's clock was not off: ${off} s`,
        );
      }
      const pauses = [...tried.values()].map(([first = 0, second = 0]) => second - first);
      const [least, most] = [Math.min(...pauses), Math.max(...pauses)];
      // 3 s, a fifth more or less; the attempt itself, and the queue's wake-ups, take a moment.
      promised(least > 2_300 && most < 4_500, `retries of 3 s came after ${least} to ${most} ms`);
      const first = Math.min(
        ...[...tried.entries()].map(([id, [at = 0]]) => at - (load.accepted.get(id) as number)),
      );
      promised(Math.abs(first) < 1_000, `the first attempts came ${first} ms after the webhooks`);
      // A retry is no duplicate; the attempts are numbered all the same.
      await settleLedger({
        load,
        receiver: {
          ...receiver,
          receipts: () =>
            [...tried.keys()].map((webhookId) => ({ webhookId, at: 0, timestamp: 0 })),
        },
        postgres,
        faults: [],
        inFlightMs: 0,
        receiverWasWell: false,
      });
      return {
        [`${sign}10 min: accepted`]: load.accepted.size,
        [`retries of 3 s after, ms (${sign})`]: `${least} to ${most}`,
      };
    }
  },
};
