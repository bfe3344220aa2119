import { readdirSync, readFileSync } from 'node:fs';
import { type Postgres, startPostgres } from './lib/postgres.ts';
import { startPosthorn } from './lib/posthorn.ts';
import { childrenOf, during } from './lib/processes.ts';
import { promised, type Scenario } from './lib/scenario.ts';

const WORKERS = 10;
const MOST_TIMES = 3;
/** Until what follows the start is over: a second look for what was missed, and for what is due. */
const SETTLE_MS = 35_000;
/** Linux shows the time of ended processes in hundredths of a second. */
const TICK_MS = 10;

interface Cost {
  readonly statements: number;
  /** CPU time of all processes of Postgres, in milliseconds. */
  readonly cpuMs: number;
}

export const idle: Scenario = {
  name: 'idle',
  promise: 'ten workers with nothing to do cost Postgres no more than three times one',
  quick: false,
  timeoutMs: 400_000,
  async run(run) {
    const postgres = await startPostgres(run, {
      settings: {
        shared_preload_libraries: 'pg_stat_statements',
        'pg_stat_statements.track_utility': 'off',
        max_connections: '300',
      },
    });
    await postgres.query('create extension pg_stat_statements');
    const start = () =>
      startPosthorn(run, { databaseUrl: postgres.url, env: { POSTHORN_ROLE: 'worker' } });
    const measure = async (workers: string) => {
      run.progress(`${workers}: settling`);
      await during(SETTLE_MS);
      run.progress(`${workers}: measuring`);
      return await measureCost(postgres, run.quick ? 30_000 : 120_000);
    };
    await start().up();
    const one = await measure('one worker');
    await Promise.all(Array.from({ length: WORKERS - 1 }, () => start().up()));
    const ten = await measure('ten workers');

    const times = (what: keyof Cost) => Math.round((10 * ten[what]) / one[what]) / 10;
    for (const what of ['statements', 'cpuMs'] as const)
      promised(
        times(what) <= MOST_TIMES,
        `ten workers cost ${times(what)} times the ${what} of one: ${ten[what]}, ${one[what]} a minute`,
      );
    return {
      'statements a minute, one worker': one.statements,
      'ten workers': ten.statements,
      'CPU of Postgres, ms a minute, one worker': one.cpuMs,
      'CPU, ten workers': ten.cpuMs,
    };
  },
};

/** Returns the cost of a minute. */
async function measureCost(postgres: Postgres, forMs: number): Promise<Cost> {
  await postgres.query('select pg_stat_statements_reset()');
  const cpuBefore = cpuMsOf(postgres);
  await during(forMs);
  const cpuMs = cpuMsOf(postgres) - cpuBefore;
  const [row] = await postgres.query<{ calls: number }>(
    `select sum(calls)::integer as calls from pg_stat_statements where query not like '%pg_stat_statements%'`,
  );
  if (process.env.CHAOS_SHOW === 'statements')
    console.table(
      await postgres.query(
        `select calls, total_exec_time::numeric(10,1) as ms, regexp_replace(left(query, 90), '\\s+', ' ', 'g') as query
         from pg_stat_statements order by 2 desc limit 30`,
      ),
    );
  const aMinute = (value: number) => Math.round((value * 60_000) / forMs);
  return { statements: aMinute(row?.calls ?? 0), cpuMs: aMinute(cpuMs) };
}

/** The time that the kernel gave to Postgres' processes, also to those that have ended. */
function cpuMsOf({ pid }: Postgres): number {
  if (pid === undefined) throw new Error('Postgres does not run');
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const endedMs = (Number(fields[13]) + Number(fields[14])) * TICK_MS;
  return [pid, ...childrenOf(pid)].reduce((sum, one) => sum + threadsMs(one), endedMs);
}

function threadsMs(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => {
      const [ns] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
      return sum + Number(ns) / 1e6;
    }, 0);
  } catch {
    return 0;
  }
}
