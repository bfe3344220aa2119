import { spawnSync } from 'node:child_process';
import { chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '../helpers/until.ts';
import { findDebianPostgres } from './lib/debian.ts';
import { settleLedger } from './lib/ledger.ts';
import { startLoad } from './lib/load.ts';
import { startSwitchboard } from './lib/network.ts';
import { startPostgres } from './lib/postgres.ts';
import { mostLinesASecond, startPosthorn } from './lib/posthorn.ts';
import { during, freePort } from './lib/processes.ts';
import { startReceiver } from './lib/receiver.ts';
import { promised, type Scenario } from './lib/scenario.ts';

export const failover: Scenario = {
  name: 'failover',
  promise: 'the primary is gone and its synchronous standby is promoted: nothing accepted is lost',
  quick: false,
  timeoutMs: 150_000,
  async run(run) {
    const binDir = findDebianPostgres('pg_basebackup');
    const primary = await startPostgres(run, {
      binDir,
      settings: { wal_level: 'replica', max_wal_senders: '5', synchronous_commit: 'on' },
    });
    const { identity } = primary;
    const standbyDir = join(run.dir, 'standby');
    await mkdir(join(standbyDir), { recursive: true });
    if (identity.uid !== undefined && identity.gid !== undefined) {
      await chown(standbyDir, identity.uid, identity.gid);
    }
    const copied = spawnSync(
      join(binDir, 'pg_basebackup'),
      ['-D', join(standbyDir, 'postgres'), '-R', '-X', 'stream', '-c', 'fast', '-d', primary.url],
      { ...identity, cwd: standbyDir, encoding: 'utf8' },
    );
    if (copied.status !== 0) throw new Error(`pg_basebackup: ${copied.stderr}`);
    const standby = await startPostgres(run, { binDir, dir: standbyDir, existing: true });
    // From here on, a commit is one that both have.
    await primary.query(`alter system set synchronous_standby_names = '*'`);
    await primary.query('select pg_reload_conf()');
    await until('the standby is synchronous', async () => {
      const [row] = await primary.query<{ sync_state: string }>(
        'select sync_state from pg_stat_replication',
      );
      return row?.sync_state === 'sync';
    });

    const virtual = await startSwitchboard(run);
    virtual.leadTo(primary.port);
    const receiver = await startReceiver(run);
    const port = await freePort();
    const databaseUrl = primary.url.replace(String(primary.port), String(virtual.port));
    const posthorn = startPosthorn(run, { databaseUrl, env: { PORT: String(port) } });
    await posthorn.up();
    const other = startPosthorn(run, { databaseUrl, env: { POSTHORN_ROLE: 'worker' } });
    await other.up();
    const load = startLoad({
      port,
      subscriptionId: await posthorn.subscribe(`${receiver.url}/wait/50`),
      rate: 300,
    });
    run.onEnd(() => load.stop());
    await until('webhooks are delivered', async () => (await receiver.count()) > 500);

    const from = Date.now();
    await primary.stopImmediately();
    // Somebody or something notices, and decides.
    await during(3_000);
    await standby.query('select pg_promote()');
    virtual.leadTo(standby.port);
    const promotedAt = Date.now();
    await until('webhooks are accepted again', () => load.lastAcceptedAt > promotedAt);
    const backMs = load.lastAcceptedAt - promotedAt;
    await during(2_000);
    await load.stop();
    promised(posthorn.running && other.running, 'a process did not survive');
    const most = Math.max(
      ...[posthorn, other].map(({ log }) => mostLinesASecond(log, from, Date.now())),
    );
    promised(most < 10, `${most} log lines in a second`);
    const figures = await settleLedger({
      load,
      receiver,
      postgres: standby,
      faults: [from],
      inFlightMs: 5_000,
    });
    return {
      ...figures,
      'answered 503': load.refused['503'] ?? 0,
      'accepting again after, ms': backMs,
      'log lines a second at most': most,
    };
  },
};
