import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from '../helpers/until.ts';
import { makeNextVersion } from '../helpers/version.ts';
import { startBalancer } from './lib/balancer.ts';
import { settleLedger } from './lib/ledger.ts';
import { startLoad } from './lib/load.ts';
import { startPostgres } from './lib/postgres.ts';
import { startPosthorn } from './lib/posthorn.ts';
import { during, freePort } from './lib/processes.ts';
import { startReceiver } from './lib/receiver.ts';
import { promised, type Run, type Scenario } from './lib/scenario.ts';

/** As in docker-compose.scale.yml. */
const DELAY = '5s';

export const rolling: Scenario = {
  name: 'rolling',
  promise:
    'a rolling upgrade behind HAProxy, as Kubernetes does it: no 5xx, no broken connection, no lost delivery',
  quick: false,
  timeoutMs: 180_000,
  run: upgradeOneByOne,
};

/** Migrates, and replaces each of two APIs and two workers by one of a new version, which starts before it stops. */
async function upgradeOneByOne(run: Run) {
  const postgres = await startPostgres(run);
  const receiver = await startReceiver(run);
  const databaseUrl = postgres.url;
  const ports = [await freePort(), await freePort(), await freePort(), await freePort()];
  const port = await freePort();
  await startBalancer(run, {
    listen: `127.0.0.1:${port}`,
    servers: ports.map((one) => `127.0.0.1:${one}`),
  });
  const start = (role: 'api' | 'worker', at = 0, root?: string) =>
    startPosthorn(run, {
      databaseUrl,
      ...(root !== undefined && { root }),
      env: { POSTHORN_ROLE: role, PORT: String(at), POSTHORN_SHUTDOWN_DELAY: DELAY },
    });
  const versionBehindBalancer = async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/ping`);
    return answer.ok ? ((await answer.json()) as { version: string }).version : undefined;
  };

  const oldApis = [start('api', ports[0])];
  await oldApis[0]?.up();
  oldApis.push(start('api', ports[1]));
  const oldWorkers = [start('worker'), start('worker')];
  await Promise.all([...oldApis, ...oldWorkers].map((one) => one.up()));
  const subscriptionId = (await oldApis[0]?.subscribe(`${receiver.url}/wait/50`)) as number;
  await until('HAProxy has found an API', versionBehindBalancer);
  const load = startLoad({ port, subscriptionId, rate: 200 });
  run.onEnd(() => load.stop());
  await until('webhooks are delivered', async () => (await receiver.count()) > 200);

  const next = join(run.dir, 'next');
  makeNextVersion(next);
  run.progress('migrating');
  await promisify(execFile)(process.execPath, [join(next, 'src', 'main.ts'), 'migrate'], {
    cwd: run.dir,
    env: { PATH: process.env.PATH, DATABASE_URL: databaseUrl },
  });
  await during(1_000);
  for (const [role, olds] of [
    ['api', oldApis],
    ['worker', oldWorkers],
  ] as const) {
    for (const [n, old] of olds.entries()) {
      run.progress(`replacing ${role} ${n + 1}, ${load.accepted.size} accepted`);
      const young = start(role, role === 'api' ? ports[olds.length + n] : 0, next);
      await young.up();
      old.kill('SIGTERM');
      promised((await old.exited()) === 0, `an old ${role} did not end well`);
    }
  }
  promised((await versionBehindBalancer()) === '99.0.0', 'an old version still answers');
  await during(1_000);
  await load.stop();
  promised(Object.keys(load.refused).length === 0, `refused: ${JSON.stringify(load.refused)}`);
  const figures = await settleLedger({ load, receiver, postgres, faults: [], inFlightMs: 0 });
  return { ...figures, '5xx': 0 };
}
