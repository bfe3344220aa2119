import { pino } from 'pino';
import t from 'tap';
import { createPool } from '../../src/db/pool.ts';
import { createPatience } from '../../src/db/retry-while-unavailable.ts';
import { NO_SESSION } from '../../src/db/session.ts';
import type { Presence } from '../../src/maintenance/worker-lease.ts';
import { createQueueRunner, QUEUE_CONNECTIONS } from '../../src/queue/runner.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { anyLoop } from '../helpers/loops.ts';
import { until } from '../helpers/until.ts';

t.test('a pool that is replaced before it was registered leaves no caller waiting', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const log = pino({ level: 'silent' });
  const ending = new AbortController();
  const pool = createPool({
    connectionString: databaseUrl,
    purpose: 'queue',
    max: QUEUE_CONNECTIONS,
  });
  const pools: string[] = [];
  const retired: string[] = [];
  let takenForDead: (poolIds: readonly string[]) => void = () => {};
  const presence: Pick<Presence, 'register' | 'retire' | 'onTakenForDead' | 'onFreed' | 'onOlder'> =
    {
      async register(poolId) {
        pools.push(poolId);
        // Without a session, as after a partition, the second one waits for it, in vain.
        if (pools.length === 2) await new Promise(() => {});
      },
      async retire(poolId) {
        retired.push(poolId);
      },
      onTakenForDead(listener) {
        takenForDead = listener;
      },
      onFreed() {},
      onOlder() {},
    };
  let done = 0;
  const runner = createQueueRunner({
    session: NO_SESSION,
    taker: {
      takesAs: undefined,
      onChange() {},
      announced() {},
      missed() {},
      closed() {},
    },
    pool,
    presence: presence as Presence,
    patience: createPatience(ending.signal),
    tasks: {
      async count() {
        done += 1;
      },
    },
    loop: anyLoop,
    taskLoops: {},
    concurrency: 2,
    ending: ending.signal,
    log,
  });
  await runner.start();
  const replaced = async (index: number) => {
    await until('the pool is there', () => pools[index] !== undefined);
    // It is replaced only once it is the current one, which it tells nobody.
    await until('its successor is there', () => {
      takenForDead([pools[index] as string]);
      return pools[index + 1] !== undefined;
    });
  };
  await replaced(0);
  await replaced(1);
  const client = await connect(t, databaseUrl);
  await client.query(`select graphile_worker.add_job('count')`);
  await until('the third one works', () => done === 1);
  await until('the others were retired', () => retired.length === 2);
  t.strictSame(retired, pools.slice(0, 2));
  takenForDead([pools[0] as string]);
  await client.query(`select graphile_worker.add_job('count')`);
  await until('it works on', () => done === 2);
  t.equal(pools.length, 3, 'and is not replaced for what befell another');
  await runner.stop();
  await pool.end();
});
