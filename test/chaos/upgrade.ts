import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../helpers/until.ts';
import { copyVersion } from '../helpers/version.ts';
import { settleLedger } from './lib/ledger.ts';
import { startLoad } from './lib/load.ts';
import { startPostgres } from './lib/postgres.ts';
import { startPosthorn } from './lib/posthorn.ts';
import { during, freePort } from './lib/processes.ts';
import { startReceiver } from './lib/receiver.ts';
import { type Figures, promised, type Run, type Scenario } from './lib/scenario.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** The one after the first version that anybody can have: 0001 to 0003. */
const SECOND_VERSION = 'migrations/0004_policies.sql';

export const upgrade: Scenario = {
  name: 'upgrade',
  promise: 'a new version migrates while the old one serves: no 5xx, no lost delivery',
  quick: false,
  timeoutMs: 180_000,
  async run(run) {
    const figures = await upgradeFrom(run, 'this', ROOT, makeNext(join(run.dir, 'next')));
    const first = join(run.dir, 'first');
    if (!checkOutFirst(first)) return { ...figures, 'first version': 'not in this checkout' };
    const fromFirst = await upgradeFrom(run, 'first', first, ROOT);
    return { ...figures, ...fromFirst };
  },
};

/** The next version, as far as there is one: this one, with one migration more. */
function makeNext(to: string): string {
  copyVersion(to);
  const newest = Math.max(
    ...readdirSync(join(to, 'migrations')).map((file) => Number(file.slice(0, 4))),
  );
  writeFileSync(
    join(to, 'migrations', `${String(newest + 1).padStart(4, '0')}_next.sql`),
    `alter table posthorn.subscriptions add column next_version text;
     alter table posthorn.deliveries add column next_version text;`,
  );
  return to;
}

/** The first version itself, out of git. Returns whether it is there. */
function checkOutFirst(to: string): boolean {
  const git = (...args: string[]) => spawnSync('git', args, { cwd: ROOT, maxBuffer: 1 << 28 });
  const added = git('log', '--diff-filter=A', '--format=%H', '--', SECOND_VERSION);
  const commit = added.stdout?.toString().trim().split('\n').at(-1);
  if (!commit) return false;
  const archive = git('archive', `${commit}^`, 'src', 'tasks', 'migrations', 'package.json');
  if (archive.status !== 0) return false;
  mkdirSync(to);
  const unpacked = spawnSync('tar', ['-x', '-C', to], { input: archive.stdout });
  symlinkSync(join(ROOT, 'node_modules'), join(to, 'node_modules'));
  return unpacked.status === 0;
}

async function upgradeFrom(run: Run, name: string, from: string, to: string): Promise<Figures> {
  const postgres = await startPostgres(run, { dir: join(run.dir, `postgres-${name}`) });
  const receiver = await startReceiver(run, '127.0.0.1', `receipts-${name}.txt`);
  const databaseUrl = postgres.url;
  const [oldPort, newPort] = [await freePort(), await freePort()];
  const old = startPosthorn(run, { databaseUrl, root: from, env: { PORT: String(oldPort) } });
  await old.up();
  const subscriptionId = await old.subscribe(`${receiver.url}/wait/50`);
  const toOld = startLoad({ port: oldPort, subscriptionId, rate: 300 });
  run.onEnd(() => toOld.stop());
  await until('webhooks are delivered', async () => (await receiver.count()) > 200);

  const young = startPosthorn(run, { databaseUrl, root: to, env: { PORT: String(newPort) } });
  await young.up();
  const migrated =
    young.log.find(({ text }) => /"migrated"/.test(text))?.text.match(/\d{4}_\w+\.sql/g)?.length ??
    0;
  promised(migrated > 0, 'the new version did not migrate');
  // Both serve for a while; then whoever sends goes over to the new one, and the old one ends.
  const toNew = startLoad({ port: newPort, subscriptionId, rate: 300 });
  run.onEnd(() => toNew.stop());
  await during(2_000);
  await toOld.stop();
  old.kill('SIGTERM');
  promised((await old.exited()) === 0, 'the old version did not end well');
  await during(1_000);
  await toNew.stop();
  const refused = [toOld.refused, toNew.refused];
  promised(
    refused.every((one) => Object.keys(one).length === 0),
    `refused: ${JSON.stringify(refused)}`,
  );
  const { accepted, lost, duplicates } = await settleLedger({
    load: { accepted: new Map([...toOld.accepted, ...toNew.accepted]) },
    receiver,
    postgres,
    faults: [],
    inFlightMs: 0,
  });
  young.kill('SIGTERM');
  await young.exited();
  return {
    [`from ${name} version: migrations`]: migrated,
    [`accepted (${name})`]: accepted as number,
    [`lost (${name})`]: lost as number,
    [`duplicates (${name})`]: duplicates as number,
    [`5xx (${name})`]: 0,
  };
}
