import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createOrderJudge, type OrderJudge } from '../helpers/order.ts';
import { until } from '../helpers/until.ts';
import { settleLedger } from './lib/ledger.ts';
import { startPostgres } from './lib/postgres.ts';
import { type Posthorn, startPosthorn } from './lib/posthorn.ts';
import { between, during } from './lib/processes.ts';
import type { Receipt } from './lib/receiver.ts';
import { promised, type Run, type Scenario } from './lib/scenario.ts';

const SUBSCRIPTIONS = 10;
const KEYS = 5;
const ATTEMPTS = 3;
const SCHEDULE = '50ms,100ms';
/** Past its lease, and until somebody has noticed. */
const FROZEN_MS = 40_000;

export const order: Scenario = {
  name: 'order',
  promise:
    'kill -9 and SIGSTOP of workers, receivers that fail: none sees n+1 of a key before n has ended',
  quick: true,
  timeoutMs: 600_000,
  async run(run) {
    const postgres = await startPostgres(run);
    const env = { POSTHORN_RETRY_SCHEDULE: SCHEDULE, POSTHORN_DELIVERY_TIMEOUT: '60s' };
    const start = (role: string) =>
      startPosthorn(run, { databaseUrl: postgres.url, env: { ...env, POSTHORN_ROLE: role } });
    const api = start('api');
    await api.up();
    const workers = [start('worker'), start('worker'), start('worker')];
    await Promise.all(workers.map((worker) => worker.up()));

    const receiver = await startOrderedReceiver(run);
    const load = await startOrderedLoad(api, receiver.url);
    const faults: number[] = [];
    const endAt = Date.now() + (run.quick ? 15_000 : 120_000);
    while (Date.now() < endAt) {
      run.progress(`${faults.length} kills, ${load.accepted.size} accepted`);
      await during(between(300, 2_000));
      const victim = Math.floor(between(0, workers.length));
      faults.push(Date.now());
      workers[victim]?.kill('SIGKILL');
      await workers[victim]?.exited();
      workers[victim] = start('worker');
      await workers[victim]?.up();
    }
    if (!run.quick) {
      run.progress('one is frozen past its lease');
      const [frozen] = workers as [Posthorn];
      faults.push(Date.now());
      frozen.kill('SIGSTOP');
      await during(FROZEN_MS);
      faults.push(Date.now());
      frozen.kill('SIGCONT');
      await during(5_000);
    }
    await load.stop();
    const figures = await settleLedger({
      load,
      receiver: { ...receiver, count: async () => 0, release: async () => {} },
      postgres,
      faults,
      inFlightMs: 10_000,
      receiverWasWell: false,
    });
    const violations = receiver.judges().flatMap((judge) => judge.violations);
    promised(
      violations.length === 0,
      `${violations.length} times out of order: ${violations.slice(0, 5).join('; ')}`,
    );
    return { faults: faults.length, ...figures, 'out of order': 0 };
  },
};

/** A receiver with a judge for each subscription, by its path. */
async function startOrderedReceiver(run: Run) {
  const judges = new Map<string, OrderJudge>();
  const receipts: Receipt[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('error', () => {});
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url: path = '', headers } = request;
      let judge = judges.get(path);
      if (judge === undefined) {
        judge = createOrderJudge(ATTEMPTS, () => between(0, 30));
        judges.set(path, judge);
      }
      const at = Date.now();
      response.on('finish', () => {
        receipts.push({ webhookId: String(headers['webhook-id']), at, timestamp: 0 });
      });
      judge.answer(response, { method, path, headers, body: Buffer.concat(chunks), at });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  run.onEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  const lastOf = () => new Map(receipts.map((receipt) => [receipt.webhookId, receipt]));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    judges: () => [...judges.values()],
    receipts: () => [...lastOf().values()],
  };
}

/** Sends the webhooks of each key in sequence: the next is sent when the previous was accepted. */
async function startOrderedLoad(api: Posthorn, receiverUrl: string) {
  const accepted = new Map<string, number>();
  let stopped = false;
  const senders: Promise<void>[] = [];
  for (let s = 0; s < SUBSCRIPTIONS; s++) {
    const created = await api.request('POST', '/v1/subscriptions', {
      url: `${receiverUrl}/${s}`,
      event_types: [],
      ordering: 'strict',
    });
    const { id } = (await created.json()) as { id: number };
    let n = 0;
    for (let k = 0; k < KEYS; k++) {
      const key = k === 0 ? null : `key ${k}`;
      const sender = async () => {
        while (!stopped) {
          n += 1;
          const failures = Math.random() < 0.8 ? 0 : Math.floor(between(1, ATTEMPTS + 1));
          const response = await api.request('POST', '/v1/webhooks', {
            event_type: 'order.changed',
            subscription_id: id,
            raw: true,
            data: { n, key, failures },
            ...(key === null ? {} : { ordering_key: key }),
          });
          promised(response.status === 202, `answered ${response.status}`);
          const { webhook_id } = (await response.json()) as { webhook_id: string };
          accepted.set(webhook_id, Date.now());
          await during(between(50, 200));
        }
      };
      senders.push(sender());
    }
  }
  await until('some are accepted', () => accepted.size > 0);
  return {
    accepted,
    async stop() {
      stopped = true;
      await Promise.all(senders);
    },
  };
}
