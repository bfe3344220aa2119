import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { errorCode } from '#src/lib/errors.ts';
import { until } from '../helpers/until.ts';
import { settleLedger } from './lib/ledger.ts';
import { type Load, startLoad } from './lib/load.ts';
import { type Postgres, startPostgres } from './lib/postgres.ts';
import { mostLinesASecond, type Posthorn, startPosthorn } from './lib/posthorn.ts';
import { during, freePort } from './lib/processes.ts';
import { type Receiver, startReceiver } from './lib/receiver.ts';
import { type Figures, promised, type Run, type Scenario, Skipped } from './lib/scenario.ts';

interface Scene {
  readonly postgres: Postgres;
  readonly receiver: Receiver;
  readonly posthorn: Posthorn;
  readonly load: Load;
}

/** A database that cannot take anything for a while, in one way or another. */
interface Fault {
  begin(scene: Scene): Promise<void>;
  end(scene: Scene): Promise<void>;
}

async function prepare(run: Run, options: Parameters<typeof startPostgres>[1]): Promise<Scene> {
  const postgres = await startPostgres(run, options);
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
    rate: 200,
  });
  run.onEnd(() => load.stop());
  await until('webhooks are delivered', async () => (await receiver.count()) > 100);
  return { postgres, receiver, posthorn, load };
}

async function refusesAndRecovers(scene: Scene, { begin, end }: Fault): Promise<Figures> {
  const { load, posthorn, postgres, receiver } = scene;
  const from = Date.now();
  await begin(scene);
  await until('webhooks are refused', () => (load.refused['503'] ?? 0) > 20);
  const accepted = load.accepted.size;
  await during(3_000);
  // Nothing that the database could take; what it did take would have to be delivered all the same.
  const acceptedMeanwhile = load.accepted.size - accepted;
  await end(scene);
  const to = Date.now();
  await until('webhooks are accepted again', () => load.lastAcceptedAt > to);
  const backMs = load.lastAcceptedAt - to;
  await during(500);
  await load.stop();
  promised(posthorn.running, 'it did not survive');
  promised(load.malformed === 0, `${load.malformed} refusals were no problem+json`);
  const other = Object.keys(load.refused).filter((status) => status !== '503');
  promised(other.length === 0, `refused as ${JSON.stringify(load.refused)}`);
  const most = mostLinesASecond(posthorn.log, from, Date.now());
  promised(most < 10, `${most} log lines in a second`);
  const figures = await settleLedger({
    load,
    receiver,
    postgres,
    faults: [from],
    // A result that could not be written down while the fault lasted.
    inFlightMs: 10_000,
  });
  return {
    ...figures,
    'answered 503': load.refused['503'] ?? 0,
    'accepted meanwhile': acceptedMeanwhile,
    'accepting again after, ms': backMs,
    'log lines a second at most': most,
  };
}

export const readOnly: Scenario = {
  name: 'read-only',
  promise: 'the database turns read-only: 503 problem+json, never a 202; recovers unaided',
  quick: false,
  timeoutMs: 90_000,
  async run(run) {
    const scene = await prepare(run, {});
    const set = async (value: string) => {
      await scene.postgres.query('set transaction_read_only = off').catch(() => {});
      await scene.postgres.query(`alter system set default_transaction_read_only = ${value}`);
      await scene.postgres.query('select pg_reload_conf()');
    };
    const figures = await refusesAndRecovers(scene, {
      begin: () => set('on'),
      end: () => set('off'),
    });
    promised(figures['accepted meanwhile'] === 0, 'webhooks were accepted by a read-only database');
    return figures;
  },
};

export const connections: Scenario = {
  name: 'connections',
  promise: 'all connections are taken: 503 problem+json, never a 202; recovers unaided',
  quick: false,
  timeoutMs: 90_000,
  async run(run) {
    const scene = await prepare(run, { settings: { max_connections: '30' } });
    const { postgres } = scene;
    const hogs: pg.Client[] = [];
    run.onEnd(() => Promise.all(hogs.map((hog) => hog.end().catch(() => {}))));
    const grab = async () => {
      for (;;) {
        const hog = new pg.Client({ connectionString: postgres.url, application_name: 'hog' });
        hog.on('error', () => {});
        try {
          await hog.connect();
          hogs.push(hog);
        } catch {
          return;
        }
      }
    };
    const ours = async () => {
      const rows = await postgres.query<{ ours: number }>(
        `select count(*)::integer as ours from pg_stat_activity where application_name like 'posthorn%'`,
      );
      return rows[0]?.ours;
    };
    const figures = await refusesAndRecovers(scene, {
      async begin() {
        await until('it has none left', async () => {
          await postgres.query(
            `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'posthorn%'`,
          );
          await grab();
          return (await ours()) === 0;
        });
      },
      end: async () => void (await Promise.all(hogs.splice(0).map((hog) => hog.end()))),
    });
    promised(figures['accepted meanwhile'] === 0, 'webhooks were accepted without a connection');
    return figures;
  },
};

export const diskFull: Scenario = {
  name: 'disk-full',
  promise: 'the disk is full: 503 problem+json, never a 202; recovers when there is room again',
  quick: false,
  timeoutMs: 120_000,
  async run(run) {
    const dir = join(run.dir, 'small');
    mkdirSync(dir);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=300m,mode=755', 'tmpfs', dir], {
      encoding: 'utf8',
    });
    if (mounted.status !== 0) {
      throw new Skipped(`a tmpfs cannot be mounted: ${mounted.stderr.trim()}`);
    }
    run.onEnd(() => spawnSync('umount', ['-l', dir]));
    const scene = await prepare(run, {
      dir: join(dir, 'postgres'),
      settings: { max_wal_size: '64MB', min_wal_size: '32MB' },
    });
    const ballast = join(dir, 'ballast');
    let ended = false;
    let restarts = 0;
    // A Postgres that cannot write its log ends; systemd, Docker or Kubernetes would start it again.
    const keeping = (async () => {
      while (!ended) {
        await during(500);
        if (!ended && !(await scene.postgres.isUp())) {
          restarts += 1;
          await scene.postgres.stopImmediately();
          await scene.postgres.start().catch(() => {});
        }
      }
    })();
    run.onEnd(async () => {
      ended = true;
      await keeping;
    });
    const figures = await refusesAndRecovers(scene, {
      async begin() {
        const { bsize, bavail } = statfsSync(dir);
        try {
          writeFileSync(ballast, Buffer.alloc(bsize * bavail));
        } catch (error) {
          // Postgres was quicker with the last of it.
          if (errorCode(error) !== 'ENOSPC') throw error;
        }
      },
      end: async () => rmSync(ballast),
    });
    ended = true;
    await keeping;
    return { ...figures, 'Postgres gave up, times': restarts };
  },
};
