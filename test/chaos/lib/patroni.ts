import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { prepareOwner } from '#src/db/embedded/owner.ts';
import { hasPrograms } from '../../helpers/debian-packages.ts';
import { until } from '../../helpers/until.ts';
import { findDebianPostgres } from './debian.ts';
import { childrenOf, ended, freePort } from './processes.ts';
import { type Run, Skipped } from './scenario.ts';

const PATRONI = '/usr/bin/patroni';
const ETCD = '/usr/bin/etcd';

/** A server of Postgres under Patroni. */
export interface Member {
  readonly name: string;
  readonly port: number;
  query<Row extends pg.QueryResultRow>(text: string): Promise<Row[]>;
  /** True while it accepts writes. */
  isPrimary(): Promise<boolean>;
  /** Ends Patroni and its Postgres at once, as if the host lost its power. */
  kill(): void;
  start(): void;
  /** Stops Postgres alone where it is, and lets it go on: Patroni sees a server that does not answer. */
  freeze(): void;
  thaw(): void;
}

/** Servers of which Patroni makes one the primary and keeps the other synchronous. */
export interface Cluster {
  readonly members: readonly [Member, Member];
  /** Names all members. */
  readonly url: string;
  primary(): Promise<Member>;
  /** Waits until the member is a synchronous standby. */
  untilSynchronous(member: Member): Promise<void>;
  /** Asks Patroni to make the standby the primary. */
  switchover(from: Member, to: Member): Promise<void>;
}

/**
 * Starts etcd and two servers under Patroni, until the scenario ends.
 *
 * @throws Skipped where Patroni, etcd or Debian's Postgres is neither here nor can be installed.
 */
export async function startPatroni(run: Run): Promise<Cluster> {
  const packages = ['patroni', 'python3-etcd', 'etcd-server', 'postgresql'];
  if (!hasPrograms([PATRONI, ETCD], packages))
    throw new Skipped(`apt-get install ${packages.join(' ')}: this needs Patroni with etcd`);
  const binDir = findDebianPostgres('pg_basebackup', 'pg_rewind');
  const dir = join(run.dir, 'patroni');
  const { identity, dataDir } = await prepareOwner(dir);

  function launch(name: string, command: readonly [string, ...string[]]): ChildProcess {
    const log = openSync(join(run.dir, `${name}.log`), 'a');
    const [program, ...args] = command;
    return spawn(program, args, {
      ...identity,
      cwd: dataDir,
      env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', TZ: 'UTC', CHAOS_FOLDER: run.dir },
      stdio: ['ignore', log, log],
    });
  }

  const [clients, peers] = [await freePort(), await freePort()];
  const etcdUrl = `http://127.0.0.1:${clients}`;
  const peerUrl = `http://127.0.0.1:${peers}`;
  const etcd = launch('etcd', [
    ETCD,
    `--data-dir=${join(dataDir, 'etcd')}`,
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
    '--unsafe-no-fsync',
  ]);
  run.onEnd(async () => {
    etcd.kill('SIGKILL');
    await ended(etcd);
  });
  await until('etcd answers', async () => (await fetch(`${etcdUrl}/health`)).ok);

  async function member(name: string) {
    const [port, restPort] = [await freePort(), await freePort()];
    const folder = join(dataDir, name);
    mkdirSync(folder, { mode: 0o700 });
    if (identity.uid !== undefined && identity.gid !== undefined)
      chownSync(folder, identity.uid, identity.gid);
    const cluster = join(folder, 'data');
    // JSON is YAML.
    const config = join(dataDir, `${name}.yml`);
    writeFileSync(
      config,
      JSON.stringify(configOf({ name, port, restPort, cluster, binDir, clients })),
    );
    let patroni: ChildProcess | undefined;

    /** Each time on a connection of its own, since the server may be gone the next time. */
    async function ask<Row extends pg.QueryResultRow>(database: string, text: string) {
      const client = new pg.Client({
        connectionString: `postgres://posthorn@127.0.0.1:${port}/${database}`,
        connectionTimeoutMillis: 5_000,
        query_timeout: 5_000,
      });
      client.on('error', () => {});
      try {
        await client.connect();
        return (await client.query<Row>(text)).rows;
      } finally {
        client.end().catch(() => {});
      }
    }

    const postmaster = () =>
      Number(readFileSync(join(cluster, 'postmaster.pid'), 'utf8').split('\n')[0]);
    const signalPostgres = (signal: NodeJS.Signals) => {
      for (const pid of [postmaster(), ...childrenOf(postmaster())]) trySignal(pid, signal);
    };
    const it = {
      name,
      port,
      restPort,
      query: <Row extends pg.QueryResultRow>(text: string) => ask<Row>('posthorn', text),
      async isPrimary() {
        const [row] = await ask<{ standby: boolean }>(
          'postgres',
          'select pg_is_in_recovery() as standby',
        );
        return row?.standby === false;
      },
      createDatabase: () => ask('postgres', 'create database posthorn'),
      kill() {
        patroni?.kill('SIGKILL');
        signalPostgres('SIGKILL');
      },
      start() {
        patroni = launch(name, [PATRONI, config]);
      },
      freeze: () => signalPostgres('SIGSTOP'),
      thaw: () => signalPostgres('SIGCONT'),
    };
    run.onEnd(async () => {
      if (patroni === undefined) return;
      patroni.kill('SIGKILL');
      await ended(patroni);
      try {
        signalPostgres('SIGCONT');
        signalPostgres('SIGKILL');
      } catch {
        // It has no Postgres.
      }
    });
    it.start();
    return it;
  }

  const first = await member('one');
  await until('Patroni has made a primary', () => first.isPrimary());
  await first.createDatabase();
  const second = await member('two');
  const members = [first, second] as const;

  async function primary(): Promise<Member> {
    const states = await Promise.all(members.map((one) => one.isPrimary().catch(() => false)));
    const found = members[states.indexOf(true)];
    if (found === undefined) throw new Error('there is no primary');
    return found;
  }

  async function askPatroni<Answer>(path: string, body?: object): Promise<Answer> {
    const answer = await fetch(
      `http://127.0.0.1:${first.restPort}/${path}`,
      body && { method: 'POST', body: JSON.stringify(body) },
    );
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json().catch(() => undefined)) as Answer;
  }

  return {
    members,
    url: `postgres://posthorn@${members.map(({ port }) => `127.0.0.1:${port}`).join(',')}/posthorn`,
    primary,
    async untilSynchronous({ name }) {
      await until(`${name} is a synchronous standby`, async () => {
        const { members: seen } = await askPatroni<{ members: { name: string; role: string }[] }>(
          'cluster',
        );
        return seen.some((one) => one.name === name && one.role === 'sync_standby');
      });
    },
    async switchover(from, to) {
      await askPatroni('switchover', { leader: from.name, candidate: to.name });
    },
  };
}

function configOf(given: {
  readonly name: string;
  readonly port: number;
  readonly restPort: number;
  readonly cluster: string;
  readonly binDir: string;
  readonly clients: number;
}) {
  const rest = `127.0.0.1:${given.restPort}`;
  const server = `127.0.0.1:${given.port}`;
  const rules = ['host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust'];
  return {
    scope: 'posthorn',
    name: given.name,
    restapi: { listen: rest, connect_address: rest },
    etcd3: { host: `127.0.0.1:${given.clients}` },
    bootstrap: {
      dcs: {
        // The shortest that Patroni allows.
        ttl: 20,
        loop_wait: 1,
        retry_timeout: 3,
        synchronous_mode: true,
        postgresql: { use_pg_rewind: true, use_slots: true },
      },
      initdb: ['data-checksums', { encoding: 'UTF8' }, { locale: 'C' }],
      pg_hba: rules,
    },
    postgresql: {
      listen: server,
      connect_address: server,
      data_dir: given.cluster,
      bin_dir: given.binDir,
      // Otherwise a standby waits for the next checkpoint, which takes minutes.
      basebackup: [{ checkpoint: 'fast' }],
      pg_hba: rules,
      authentication: {
        superuser: { username: 'posthorn' },
        replication: { username: 'posthorn' },
        rewind: { username: 'posthorn' },
      },
      parameters: {
        unix_socket_directories: '',
        max_connections: 200,
        shared_buffers: '64MB',
        jit: 'off',
      },
    },
  };
}

function trySignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}
