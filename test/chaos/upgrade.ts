import { join } from 'node:path';
import { until } from '../helpers/until.ts';
import { makeNextVersion } from '../helpers/version.ts';
import { settleLedger } from './lib/ledger.ts';
import { startLoad } from './lib/load.ts';
import { startPostgres } from './lib/postgres.ts';
import { startPosthorn } from './lib/posthorn.ts';
import { during, freePort } from './lib/processes.ts';
import { startReceiver } from './lib/receiver.ts';
import { promised, type Run, type Scenario } from './lib/scenario.ts';

export const upgrade: Scenario = {
  name: 'upgrade',
  promise: 'a new version migrates while the old one serves: no 5xx, no lost delivery',
  quick: false,
  timeoutMs: 180_000,
  run: upgradeToNext,
};

/** From this version to one with a new migration, and functions with more parameters. */
async function upgradeToNext(run: Run) {
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

  const next = join(run.dir, 'next');
  makeNextVersion(next);
  const young = startPosthorn(run, { databaseUrl, root: next, env: { PORT: String(newPort) } });
  await young.up();
  const migrated = young.log.find(({ text }) => /"migrated"/.test(text))?.text ?? '';
  promised(/"0002_next\.sql"/.test(migrated), `the new version did not migrate: ${migrated}`);
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
    accepted: accepted as number,
    lost: lost as number,
    duplicates: duplicates as number,
    '5xx': 0,
  };
}
