import { until } from '../helpers/until.ts';
import { settleLedger } from './lib/ledger.ts';
import { startLoad } from './lib/load.ts';
import { startPostgres } from './lib/postgres.ts';
import { type Posthorn, startPosthorn } from './lib/posthorn.ts';
import { between, during, freePort } from './lib/processes.ts';
import { startReceiver } from './lib/receiver.ts';
import type { Scenario } from './lib/scenario.ts';

/** A part of the service, and how to start it anew. */
interface Part {
  readonly start: () => Posthorn;
  running: Posthorn;
}

export const kill: Scenario = {
  name: 'kill',
  promise:
    'a 202 means durable: kill -9 of API, worker, both, a child or its supervisor, and of a child whose supervisor is frozen',
  quick: true,
  timeoutMs: 1_500_000,
  async run(run) {
    const rounds = run.quick ? 4 : 100;
    const supervisedRounds = run.quick ? 3 : 30;
    const least = run.quick ? 0 : 50_000;
    const postgres = await startPostgres(run);
    const receiver = await startReceiver(run);
    const port = await freePort();
    const kills: number[] = [];
    const start = (env: Record<string, string>) =>
      startPosthorn(run, { databaseUrl: postgres.url, env: { PORT: String(port), ...env } });
    const partOf = (env: Record<string, string>): Part => {
      const startIt = () => start(env);
      return { start: startIt, running: startIt() };
    };

    const api = partOf({ POSTHORN_ROLE: 'api' });
    await api.running.up();
    const worker = partOf({ POSTHORN_ROLE: 'worker', PORT: '0' });
    await worker.running.up();
    const load = startLoad({
      port,
      subscriptionId: await api.running.subscribe(`${receiver.url}/wait/20`),
      rate: 600,
    });
    run.onEnd(() => load.stop());

    for (let round = 1; round <= rounds - supervisedRounds; round++) {
      run.progress(`round ${round} of ${rounds}, ${load.accepted.size} accepted`);
      await goesOn(load);
      await during(between(100, 1_500));
      const victims = [[api], [worker], [api, worker]][round % 3] as Part[];
      kills.push(Date.now());
      for (const { running } of victims) running.kill('SIGKILL');
      for (const victim of victims) {
        await victim.running.exited();
        await during(between(0, 300));
        victim.running = victim.start();
      }
      for (const { running } of victims) await running.up();
    }

    // The same under a supervisor, which starts its processes anew by itself.
    kills.push(Date.now());
    for (const { running } of [api, worker]) {
      running.kill('SIGKILL');
      await running.exited();
    }
    const supervised = partOf({ POSTHORN_PROCESSES: '2' });
    await supervised.running.up();
    for (let round = 1; round <= supervisedRounds; round++) {
      run.progress(
        `round ${rounds - supervisedRounds + round} of ${rounds}, ${load.accepted.size} accepted`,
      );
      const { running } = supervised;
      await until('it has its two processes', () => running.children.length === 2);
      await goesOn(load);
      await during(between(100, 1_500));
      const children = running.children;
      // A supervisor waits longer each time a young process dies, so it is killed as often as they are.
      if (round % 3 === 2) {
        kills.push(Date.now());
        running.kill('SIGKILL');
        await running.exited();
        await until('its processes have ended with it', () => children.every((pid) => !alive(pid)));
        supervised.running = supervised.start();
        await supervised.running.up();
        continue;
      }
      // Its processes go on to send it messages, and it answers them when it goes on.
      const frozen = round % 3 === 0;
      if (frozen) {
        running.kill('SIGSTOP');
        await during(between(0, 6_000));
      }
      kills.push(Date.now());
      process.kill(children[Math.floor(between(0, children.length))] as number, 'SIGKILL');
      if (frozen) {
        await during(between(0, 6_000));
        running.kill('SIGCONT');
      }
      await until('a process has been replaced', () => {
        const now = running.children;
        return now.length === 2 && now.some((pid) => !children.includes(pid));
      });
    }
    while (load.accepted.size < least) await during(100);
    await load.stop();
    const figures = await settleLedger({
      load,
      receiver,
      postgres,
      faults: kills,
      inFlightMs: 1_000,
    });
    return {
      rounds,
      ...figures,
      'answered 503': load.refused['503'] ?? 0,
      'not answered': load.refused.hung ?? 0,
    };
  },
};

async function goesOn(load: { readonly lastAcceptedAt: number }): Promise<void> {
  const since = Date.now();
  await until('webhooks are accepted', () => load.lastAcceptedAt > since);
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
