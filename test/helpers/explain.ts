import { join, relative } from 'node:path';
import type pg from 'pg';
import { FrugalClient } from '../../src/db/driver.ts';
import type { Plans } from '../../src/db/planner.ts';
import { connectionConfig } from '../../src/db/pool.ts';
import { configure } from '../../src/db/session-settings.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** A node of a plan, as `explain (analyze, buffers, format json)` has it. */
interface Node {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Index Cond'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly 'Shared Hit Blocks'?: number;
  readonly 'Shared Read Blocks'?: number;
  /** Partitions that were left out only when the statement began: they were planned and locked. */
  readonly 'Subplans Removed'?: number;
  readonly Plans?: readonly Node[];
}

/** A scan of a table: its kind or index, and the rows that it read. */
export interface Scan {
  readonly table: string;
  readonly how: string;
  readonly rows: number;
  /** How often it went through a list of keys to find one of them; 0: it has no list, or looks up all keys of it. */
  readonly searches: number;
}

/** A statement that ran, also within a function, with its plan. */
export interface Explained {
  readonly text: string;
  readonly scans: readonly Scan[];
  readonly blocks: number;
  /** The most partitions that it plans for one scan of a table, and so locks. */
  readonly partitions: number;
  /** It may start parallel workers. */
  readonly isParallel: boolean;
}

/** The statements that ran in one piece of work, with their plans. */
export interface Ran {
  readonly explained: readonly Explained[];
  /** The names of prepared statements. */
  readonly names: ReadonlySet<string>;
  /** The files of src/ that asked for statements. */
  readonly files: ReadonlySet<string>;
  /** The functions of the schema that were called. */
  readonly functions: ReadonlySet<string>;
}

/** A connection whose statements tell how they were executed. */
export interface ExplainingClient {
  /** Runs work in a transaction that is rolled back. The pool has this one connection. */
  run(work: (pool: pg.Pool) => Promise<unknown>): Promise<Ran>;
  end(): Promise<void>;
}

/**
 * Opens a connection with auto_explain, which tells the plan of each statement as it was really executed: with
 * the settings of the connection, prepared or not, and also of statements in functions.
 *
 * @param settings of the planner.
 * @param mode the plans that are kept. Only a pool that forces generic plans has these for statements without
 *   a name too: others plan them anew each time.
 */
export async function openExplaining(
  databaseUrl: string,
  settings: Plans,
  mode: 'generic' | 'custom',
): Promise<ExplainingClient> {
  const kept = `force_${mode}_plan`;
  const setMode = (named: boolean) => `set plan_cache_mode = ${named ? kept : 'force_custom_plan'}`;
  const plans = 'plan_cache_mode' in settings ? undefined : setMode;
  const client = new FrugalClient(connectionConfig(databaseUrl, 'explain'));
  await client.connect();
  await client.query(`load 'auto_explain'`);
  await configure(client, {
    ...settings,
    plan_cache_mode: kept,
    client_min_messages: 'notice',
    track_functions: 'pl',
    'auto_explain.log_min_duration': '0',
    'auto_explain.log_analyze': 'on',
    'auto_explain.log_buffers': 'on',
    'auto_explain.log_timing': 'off',
    'auto_explain.log_nested_statements': 'on',
    'auto_explain.log_format': 'json',
    'auto_explain.log_level': 'notice',
  });
  let explained: Explained[] = [];
  let names = new Set<string>();
  let files = new Set<string>();
  client.on('notice', ({ message = '' }) => {
    const [, json] = /^duration: [\d.]+ ms {2}plan:\n(.+)$/s.exec(message) ?? [];
    if (json !== undefined) explained.push(read(JSON.parse(json)));
  });
  /** Statements of one connection, one after another. */
  let last: Promise<unknown> = Promise.resolve();
  const query = (asked: string | pg.QueryConfig, values?: unknown[]) => {
    if (typeof asked !== 'string' && asked.name !== undefined) names.add(asked.name);
    for (const file of askingFiles()) files.add(file);
    const inner = typeof asked === 'string' ? (IN_TRANSACTION[asked] ?? asked) : asked;
    const named = typeof asked !== 'string' && asked.name !== undefined;
    const answer = last.then(async () => {
      if (plans !== undefined) await client.query(plans(named));
      return await client.query(inner as string, values);
    });
    last = answer.catch(() => {});
    return answer;
  };
  const pooled = { query, release() {} };
  const pool = { query, connect: async () => pooled } as unknown as pg.Pool;

  return {
    async run(work) {
      explained = [];
      names = new Set();
      files = new Set();
      await client.query('begin');
      try {
        await work(pool);
        // Postgres tells the plan when the statement's portal is closed, which the next statement does.
        await client.query('select 1');
        const asked = { explained: [...explained], names, files };
        const { rows } = await client.query<{ name: string }>(
          `select funcname as name from pg_stat_xact_user_functions where schemaname = 'posthorn'`,
        );
        return { ...asked, functions: new Set(rows.map(({ name }) => name)) };
      } finally {
        await client.query('rollback');
      }
    },
    end: () => client.end(),
  };
}

/** Transactions of the work, within ours. */
const IN_TRANSACTION: Readonly<Record<string, string>> = {
  begin: 'savepoint work',
  commit: 'release work',
  rollback: 'rollback to work',
};

/** The files of src/ on the stack. */
function askingFiles(): string[] {
  const found = (new Error().stack ?? '').matchAll(/file:\/\/(\/[^:]+\/src\/[^:]+\.ts)/g);
  return [...found].map(([, file = '']) => relative(ROOT, decodeURIComponent(file)));
}

/** A condition on a key that is given, and is in a list too. */
const ONE_OF_LIST = /\((\w+) = (?!ANY)[^()]+\) AND (?:.* AND )?\(\1 = ANY/;

function read({
  'Query Text': text = '',
  Plan: plan,
}: {
  'Query Text'?: string;
  Plan: Node;
}): Explained {
  const scans: Scan[] = [];
  let partitions = 0;
  let isParallel = false;
  const visit = (node: Node): void => {
    isParallel ||= /^Gather/.test(node['Node Type']);
    if (/Append$/.test(node['Node Type']))
      partitions = Math.max(
        partitions,
        (node.Plans?.length ?? 0) + (node['Subplans Removed'] ?? 0),
      );
    if (node['Actual Loops'] > 0) {
      const { 'Relation Name': table, 'Node Type': type } = node;
      if (table !== undefined && /Scan/.test(type))
        scans.push({
          table,
          how: [type, node['Index Name']].filter((part) => part !== undefined).join(' '),
          rows: Math.round(
            (node['Actual Rows'] +
              (node['Rows Removed by Filter'] ?? 0) +
              (node['Rows Removed by Index Recheck'] ?? 0)) *
              node['Actual Loops'],
          ),
          searches: ONE_OF_LIST.test(node['Index Cond'] ?? '') ? node['Actual Loops'] : 0,
        });
    }
    for (const child of node.Plans ?? []) visit(child);
  };
  visit(plan);
  const blocks = (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0);
  return { text, scans, blocks, partitions, isParallel };
}
