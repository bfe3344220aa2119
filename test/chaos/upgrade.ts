import { cpSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../helpers/until.ts';
import { settleLedger } from './lib/ledger.ts';
import { startLoad } from './lib/load.ts';
import { startPostgres } from './lib/postgres.ts';
import { startPosthorn } from './lib/posthorn.ts';
import { during, freePort } from './lib/processes.ts';
import { startReceiver } from './lib/receiver.ts';
import { promised, type Scenario } from './lib/scenario.ts';

const ROOT = join(import.meta.dirname, '..', '..');

export const upgrade: Scenario = {
  name: 'upgrade',
  promise: 'a new version migrates while the old one serves: no 5xx, no lost delivery',
  quick: false,
  timeoutMs: 90_000,
  async run(run) {
    // The next version, as far as there is one: this one, with one migration more.
    const next = join(run.dir, 'next');
    for (const part of ['src', 'tasks', 'migrations', 'package.json']) {
      cpSync(join(ROOT, part), join(next, part), { recursive: true });
    }
    symlinkSync(join(ROOT, 'node_modules'), join(next, 'node_modules'));
    const newest = Math.max(
      ...readdirSync(join(next, 'migrations')).map((file) => Number(file.slice(0, 4))),
    );
    writeFileSync(
      join(next, 'migrations', `${String(newest + 1).padStart(4, '0')}_next.sql`),
      `alter table posthorn.subscriptions add column next_version text;
       alter table posthorn.deliveries add column next_version text;`,
    );

    const postgres = await startPostgres(run);
    const receiver = await startReceiver(run);
    const databaseUrl = postgres.url;
    const [oldPort, newPort] = [await freePort(), await freePort()];
    const old = startPosthorn(run, { databaseUrl, env: { PORT: String(oldPort) } });
    await old.up();
    const subscriptionId = await old.subscribe(`${receiver.url}/wait/50`);
    const toOld = startLoad({ port: oldPort, subscriptionId, rate: 300 });
    run.onEnd(() => toOld.stop());
    await until('webhooks are delivered', async () => (await receiver.count()) > 200);

    const young = startPosthorn(run, { databaseUrl, root: next, env: { PORT: String(newPort) } });
    await young.up();
    const migrated = young.log.some(({ text }) => /_next\.sql.*"migrated"/.test(text));
    promised(migrated, 'the new version did not migrate');
    // Both serve for a while; then whoever sends goes over to the new one, and the old one ends.
    const toNew = startLoad({ port: newPort, subscriptionId, rate: 300 });
    run.onEnd(() => toNew.stop());
    await during(2_000);
    await toOld.stop();
    old.kill('SIGTERM');
    promised((await old.exited()) === 0, 'the old version did not end well');
    await during(1_000);
    await toNew.stop();
    const refused = { ...toOld.refused, ...toNew.refused };
    promised(Object.keys(refused).length === 0, `refused: ${JSON.stringify(refused)}`);
    const figures = await settleLedger({
      load: { accepted: new Map([...toOld.accepted, ...toNew.accepted]) },
      receiver,
      postgres,
      faults: [],
      inFlightMs: 0,
    });
    return { ...figures, '5xx': 0 };
  },
};
