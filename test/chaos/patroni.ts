import { until } from '../helpers/until.ts';
import { settleLedger } from './lib/ledger.ts';
import { type Load, startLoad } from './lib/load.ts';
import { type Cluster, type Member, startPatroni } from './lib/patroni.ts';
import { mostLinesASecond, startPosthorn } from './lib/posthorn.ts';
import { during, freePort } from './lib/processes.ts';
import { startReceiver } from './lib/receiver.ts';
import { promised, type Run, type Scenario } from './lib/scenario.ts';

/** How much later than the new primary Posthorn may accept again. */
const GOAL_MS = 2_000;
/** Other load on the machine slows both. */
const BUSY = 5;

export const patroni: Scenario = {
  name: 'patroni',
  promise:
    'Patroni moves the primary: it is killed, it hands over, its standby hangs. Nothing accepted is lost, and no standby gets a statement',
  quick: true,
  timeoutMs: 240_000,
  async run(run) {
    const cluster = await startPatroni(run);
    const [one, two] = cluster.members;
    await cluster.untilSynchronous(two);

    const receiver = await startReceiver(run);
    const port = await freePort();
    const posthorn = startPosthorn(run, { databaseUrl: cluster.url, env: { PORT: String(port) } });
    await posthorn.up();
    const other = startPosthorn(run, {
      databaseUrl: cluster.url,
      env: { POSTHORN_ROLE: 'worker' },
    });
    await other.up();
    const load = startLoad({
      port,
      subscriptionId: await posthorn.subscribe(`${receiver.url}/wait/50`),
      rate: 100,
    });
    run.onEnd(() => load.stop());
    const watch = watchStandbys(run, cluster);
    await until('webhooks are delivered', async () => (await receiver.count()) > 100);

    const faults: number[] = [];
    const from = Date.now();
    const gaps: Record<string, number> = {};

    faults.push(Date.now());
    one.kill();
    const killedAt = Date.now();
    gaps['a primary after, ms'] = await becomesPrimary(two, killedAt);
    gaps['accepting again after a kill, ms'] = await acceptsAgain(load, Date.now());
    // The rest takes minutes, in which Patroni builds a standby anew.
    if (!run.quick) {
      one.start();
      await cluster.untilSynchronous(one);

      faults.push(Date.now());
      const handedOverAt = Date.now();
      await cluster.switchover(two, one);
      await becomesPrimary(one, handedOverAt);
      gaps['accepting again after a switchover, ms'] = await acceptsAgain(load, Date.now());
      await cluster.untilSynchronous(two);

      // Commits wait for the standby until Patroni gives it up.
      faults.push(Date.now());
      two.freeze();
      const frozenAt = Date.now();
      await during(1_000);
      await until(
        'commits no longer wait for the standby',
        () => load.lastAcceptedAt > frozenAt + 1_000,
      );
      gaps['accepting again while the standby hangs, ms'] = load.lastAcceptedAt - frozenAt;
      two.thaw();
      await cluster.untilSynchronous(two);
    }

    await during(1_000);
    await load.stop();
    promised(posthorn.running && other.running, 'a process did not survive');
    for (const [what, ms] of Object.entries(gaps))
      if (/kill|switchover/.test(what))
        promised(ms < BUSY * GOAL_MS, `${what}: ${ms}, after there was a primary`);
    promised(watch.statements.length === 0, `a standby got: ${watch.statements[0]}`);
    const most = Math.max(
      ...[posthorn, other].map(({ log }) => mostLinesASecond(log, from, Date.now())),
    );
    promised(most < 10, `${most} log lines in a second`);
    const primary = await cluster.primary();
    const figures = await settleLedger({
      load,
      receiver,
      postgres: { query: (text) => primary.query(text) },
      faults,
      inFlightMs: 5_000,
    });
    return { ...figures, 'answered 503': load.refused['503'] ?? 0, ...gaps };
  },
};

/** Waits until it is the primary, and returns how long that took. */
async function becomesPrimary(member: Member, since: number): Promise<number> {
  await until(`${member.name} is the primary`, () => member.isPrimary());
  return Date.now() - since;
}

/** Waits for the first webhook that is accepted after a moment, and returns how long that took. */
async function acceptsAgain(load: Load, since: number): Promise<number> {
  await until('webhooks are accepted again', () => load.lastAcceptedAt > since);
  return load.lastAcceptedAt - since;
}

/** Notes statements that a standby has got from Posthorn; a connection shows its last one for as long as it is open. */
function watchStandbys(run: Run, { members }: Cluster): { readonly statements: string[] } {
  const statements: string[] = [];
  let isOver = false;
  const watching = members.map(async (member) => {
    while (!isOver) {
      const rows = await member
        .query<{ query: string }>(
          `select query from pg_stat_activity
           where pg_is_in_recovery() and application_name like 'posthorn %' and query <> ''`,
        )
        .catch(() => []);
      statements.push(...rows.map(({ query }) => `${member.name}: ${query}`));
      await during(250);
    }
  });
  run.onEnd(async () => {
    isOver = true;
    await Promise.all(watching);
  });
  return { statements };
}
