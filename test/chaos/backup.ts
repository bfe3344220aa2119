import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fillHistory } from '../../bench/lib/fill.ts';
import { until } from '../helpers/until.ts';
import { findDebianPostgres } from './lib/debian.ts';
import { requireHonestAttempts } from './lib/ledger.ts';
import { startLoad } from './lib/load.ts';
import { startPostgres } from './lib/postgres.ts';
import { startPosthorn } from './lib/posthorn.ts';
import { during, ended, freePort } from './lib/processes.ts';
import { startReceiver } from './lib/receiver.ts';
import { promised, type Scenario } from './lib/scenario.ts';

/** So that a dump takes a while, in which webhooks come and go. */
const HISTORY = 300_000;

/** The state of a delivery in the backup, which decides whether it is sent again. */
interface InBackup {
  readonly webhook_id: string;
  readonly state: 'pending' | 'held' | 'succeeded' | 'failed' | 'cancelled';
}

export const backup: Scenario = {
  name: 'backup',
  promise:
    'pg_dump under load, restored elsewhere: all in it is sent, and nothing that had succeeded',
  quick: false,
  timeoutMs: 300_000,
  async run(run) {
    const binDir = findDebianPostgres('pg_dump', 'pg_dumpall', 'pg_restore', 'createdb', 'psql');
    const first = await startPostgres(run, { binDir });
    const receiver = await startReceiver(run);
    const port = await freePort();
    const env = {
      PORT: String(port),
      POSTHORN_RETRY_SCHEDULE: '4s,4s',
      POSTHORN_DELIVERY_TIMEOUT: '60s',
      POSTHORN_SHUTDOWN_GRACE: '1s',
    };
    const old = startPosthorn(run, { databaseUrl: first.url, env });
    await old.up();
    // Webhooks that succeed, that have yet to be tried again, that are under way, and that are held.
    const paths = ['/wait/50', '/wait/50', '/wait/50', '/fail-once', '/hang'];
    const subscriptionId = await Promise.all(
      paths.map((path) => old.subscribe(`${receiver.url}${path}`)),
    );
    run.progress(`${HISTORY} webhooks of the past`);
    await fillHistory(first.url, subscriptionId, HISTORY, 3, () => {});
    const load = startLoad({ port, subscriptionId, rate: 300 });
    run.onEnd(() => load.stop());
    await until('webhooks are delivered', async () => (await receiver.count()) > 1_000);

    const command = (program: string, ...args: string[]) =>
      runProgram(`${binDir}/${program}`, args, run.dir);
    const beganAt = Date.now();
    run.progress('pg_dump');
    await command(
      'pg_dumpall',
      '--roles-only',
      `--file=${run.dir}/roles.sql`,
      `--dbname=${first.url}`,
    );
    await command('pg_dump', '--format=custom', `--file=${run.dir}/posthorn.dump`, first.url);
    const endedAt = Date.now();
    // Events between the backup and the loss of the database.
    await during(3_000);
    await load.stop();
    old.kill('SIGKILL');
    await old.exited();
    await first.stopImmediately();
    await receiver.release();
    promised(
      Object.keys(load.refused).length === 0,
      `while it was backed up, webhooks were refused: ${JSON.stringify(load.refused)}`,
    );

    run.progress('pg_restore');
    const second = await startPostgres(run, {
      binDir,
      dir: `${run.dir}/elsewhere`,
      database: 'none',
    });
    const server = second.url.replace(/\/posthorn$/, '/postgres');
    // It says of the role that we are ourselves that it exists.
    await command('psql', '--quiet', `--file=${run.dir}/roles.sql`, server);
    await command('createdb', `--maintenance-db=${server}`, 'posthorn');
    await command(
      'pg_restore',
      '--exit-on-error',
      `--dbname=${second.url}`,
      `${run.dir}/posthorn.dump`,
    );
    const known = await second.query<InBackup>('select webhook_id, state from posthorn.deliveries');
    const inBackup = new Map(known.map(({ webhook_id, state }) => [webhook_id, state]));
    const before = new Map<string, number>();
    for (const { webhookId } of receiver.receipts())
      before.set(webhookId, (before.get(webhookId) ?? 0) + 1);
    const missing = [...load.accepted].filter(([id, at]) => at < beganAt && !inBackup.has(id));
    promised(
      missing.length === 0,
      `${missing.length} webhooks that were accepted before the backup are not in it`,
    );

    const restoredAt = Date.now();
    const young = startPosthorn(run, { databaseUrl: second.url, env });
    await young.up();
    const again = startLoad({ port, subscriptionId, rate: 100 });
    run.onEnd(() => again.stop());
    await during(2_000);
    await again.stop();
    await until(
      'nothing is owed',
      async () => {
        const [row] = await second.query<{ owed: number }>(
          `select count(*)::integer as owed from posthorn.deliveries where state in ('pending', 'held')`,
        );
        return row?.owed === 0;
      },
      90_000,
    );
    promised(again.accepted.size > 0, 'nothing was accepted afterwards');
    const receipts = receiver.receipts();
    const after = new Set(receipts.slice(sum(before.values())).map(({ webhookId }) => webhookId));
    const twice = [...after].filter((id) => inBackup.get(id) === 'succeeded');
    promised(
      twice.length === 0,
      `${twice.length} webhooks were sent again that had succeeded before the backup, such as ${twice[0]}`,
    );
    const owed = [...inBackup].filter(([, state]) => state === 'pending' || state === 'held');
    const unsent = owed.filter(([id]) => !after.has(id));
    promised(unsent.length === 0, `${unsent.length} that were owed were not sent after it`);
    const lost = [...load.accepted.keys(), ...again.accepted.keys()].filter(
      (id) => (inBackup.has(id) || again.accepted.has(id)) && !before.has(id) && !after.has(id),
    );
    promised(lost.length === 0, `${lost.length} webhooks of the backup were not received`);
    await requireHonestAttempts(second, false);
    const [row] = await second.query<{ failed: number }>(
      `select count(*)::integer as failed from posthorn.deliveries
       where state not in ('succeeded') and ended_at > now() - interval '5 minutes'`,
    );
    promised(row?.failed === 0, `${row?.failed} did not succeed`);
    const later = [...load.accepted.keys()].filter((id) => !inBackup.has(id));
    return {
      'webhooks in the backup': inBackup.size,
      'of those owed': owed.length,
      lost: 0,
      'sent again that had succeeded before it': 0,
      'that succeeded or were under way after it, sent again': owed.filter(([id]) => before.has(id))
        .length,
      'accepted after it, not in it': later.length,
      'of those never sent': later.filter((id) => !before.has(id)).length,
      'backup, ms': endedAt - beganAt,
      'sending again after, ms': firstAfter(receipts, restoredAt) - restoredAt,
    };
  },
};

/** @throws Error with what it said, when it does not end well. */
async function runProgram(program: string, args: string[], cwd: string): Promise<void> {
  const child = spawn(program, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
  const said = text(child.stderr);
  await ended(child);
  if (child.exitCode !== 0) throw new Error(`${program} ${args.join(' ')}: ${await said}`);
}

const sum = (numbers: Iterable<number>) => [...numbers].reduce((total, one) => total + one, 0);

function firstAfter(receipts: readonly { readonly at: number }[], moment: number): number {
  return Math.min(...receipts.filter(({ at }) => at >= moment).map(({ at }) => at));
}
