import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type Measurement, type Scenario, warmUp, withSide } from '../lib/bench.ts';
import { posthorn } from '../lib/sides.ts';
import { cpuSecondsOfTree, memoryMiB } from '../lib/usage.ts';

/** The line that `log_statement` writes for a statement, in the simple and in the extended protocol. */
const STATEMENT = / LOG: {2}(?:statement|execute [^:]+): /g;

export const idle: Scenario = {
  name: 'idle',
  what: 'No webhooks: statements a minute, counted in the log of Postgres, CPU, and memory',
  async run(bench): Promise<Measurement[]> {
    const { logPath } = bench.postgres;
    if (logPath === null) {
      bench.say('not measured: the log of the server in DATABASE_URL cannot be read here');
      return [];
    }
    return await withSide(bench, posthorn, {}, async (running) => {
      await warmUp(bench, running, await running.subscribe(bench.receiverUrl('/ok')));
      const client = new pg.Client({ connectionString: running.databaseUrl });
      await client.connect();
      const cpu = () => cpuSecondsOfTree(running.pid);
      const minutes = bench.quick ? 0.1 : 2;
      bench.say(`watching for ${minutes} minutes`);
      const setLogging = (value: string) =>
        client
          .query(`alter system set log_statement = ${value}`)
          .then(() => client.query('select pg_reload_conf()'));
      await setLogging("'all'");
      await sleep(2_000);
      const logged = async () => (await readFile(logPath, 'utf8')).match(STATEMENT)?.length ?? 0;
      const before = [await logged(), cpu()] as const;
      await sleep(minutes * 60_000);
      const perMinute = ((await logged()) - before[0]) / minutes;
      const share = ((cpu() - before[1]) / minutes / 60) * 100;
      await setLogging('default');
      await client.end();
      return [
        {
          scenario: 'idle',
          side: 'posthorn',
          round: 1,
          perSecond: null,
          note: `${Math.round(perMinute)} statements a minute, ${share.toFixed(2)} % of a core, ${memoryMiB(running.pid)} MiB of memory at the end`,
        },
      ];
    });
  },
};
