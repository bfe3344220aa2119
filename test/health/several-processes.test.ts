import pg from 'pg';
import t, { type Test } from 'tap';
import { createPatience } from '../../src/db/retry-while-unavailable.ts';
import { NO_SESSION } from '../../src/db/session.ts';
import { parseCircuitPolicy } from '../../src/health/circuit-policy.ts';
import { type Circuits, createCircuits, type ReceiverHealth } from '../../src/health/circuits.ts';
import type { Loop } from '../../src/lib/loop-health.ts';
import { createSealer } from '../../src/lib/sealing.ts';
import { createSubscriptionCache, type SubscriptionCache } from '../../src/subscriptions/cache.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { collectLog } from '../helpers/log.ts';

const LOOP: Loop = {
  succeeded() {},
  failed(error) {
    throw error;
  },
};

interface Process {
  readonly circuits: Circuits;
  readonly subscriptions: SubscriptionCache;
}

/** The parts of so many worker processes that count failures, on one database. */
async function startProcesses(t: Test, count: number, policy: string) {
  const pool = new pg.Pool({ connectionString: await createTestDatabase(t), max: 4 });
  t.teardown(() => pool.end());
  const processes = Array.from({ length: count }, (): Process => {
    const subscriptions = createSubscriptionCache(pool, NO_SESSION, createSealer([]), LOOP);
    const ending = new AbortController().signal;
    const circuits = createCircuits({
      ...{ pool, subscriptions, ending, loop: LOOP, log: collectLog().log },
      patience: createPatience(ending),
      policy: parseCircuitPolicy(policy),
      disableAfterMs: null,
      onClosed() {},
    });
    return { circuits, subscriptions };
  });

  return {
    processes,
    async subscribe(): Promise<number> {
      const { rows } = await pool.query(
        "insert into posthorn.subscriptions (url) values ('https://receiver.example') returning id",
      );
      return rows[0].id;
    },
    /** An attempt of the process has ended so. */
    async end({ circuits, subscriptions }: Process, id: number, receiverHealth: ReceiverHealth) {
      // As if the notification had come.
      subscriptions.drop(id);
      const subscription = await subscriptions.get(id);
      if (subscription === null) throw new Error('there is no such subscription');
      await circuits.observe(subscription, {
        ...{ receiverHealth, durationMs: 1, probe: false, pauseMs: undefined },
        ...{ errorCode: 'refused', error: 'refused' },
      });
    },
    async isOpen(id: number): Promise<boolean> {
      const { rows } = await pool.query(
        'select circuit_open from posthorn.subscriptions where id = $1',
        [id],
      );
      return rows[0].circuit_open;
    },
  };
}

t.test('failures in a row open a circuit, whichever processes saw them', async (t) => {
  const { processes, subscribe, end, isOpen } = await startProcesses(t, 8, 'failures=10,over=0s');
  const id = await subscribe();
  const [first] = processes as [Process];
  for (let n = 0; n < 3; n++) await end(first, id, 'down');
  // From the first one on, since it is known that the receiver fails.
  for (const process of processes.slice(1, 7)) await end(process, id, 'down');
  t.notOk(await isOpen(id), 'nine');
  await end(processes[7] as Process, id, 'down');
  t.ok(await isOpen(id), 'ten');
});

t.test('an answer, or a success, begins the row again for all processes', async (t) => {
  const { processes, subscribe, end, isOpen } = await startProcesses(t, 8, 'failures=6,over=0s');
  for (const between of ['refused', 'well'] as const) {
    const id = await subscribe();
    const [first, second] = processes as [Process, Process];
    for (let n = 0; n < 3; n++) await end(first, id, 'down');
    await end(second, id, 'down');
    await end(processes[2] as Process, id, between);
    for (const process of processes.slice(3)) await end(process, id, 'down');
    t.notOk(await isOpen(id), `five after: ${between}`);
  }
});

t.test('however many processes, a receiver that restarts does not open its circuit', async (t) => {
  const { processes, subscribe, end, isOpen } = await startProcesses(t, 8, 'failures=4,over=1h');
  const id = await subscribe();
  for (const process of processes) for (let n = 0; n < 3; n++) await end(process, id, 'down');
  t.notOk(await isOpen(id));
});
