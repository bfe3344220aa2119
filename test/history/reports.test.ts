import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import t from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { until } from '../helpers/until.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const DAYS = 40;

interface Node {
  readonly 'Node Type': string;
  readonly 'Function Name'?: string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly Plans?: readonly Node[];
}

/** A day of a table of history that a statement scanned, and how many of its rows it read. */
interface Scan {
  readonly partition: string;
  readonly day: string;
  readonly rows: number;
}

/** The SQL of the README and of the documents that reads history, with the page that has it. */
function documentedReports(): { page: string; statement: string }[] {
  const docs = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' });
  const pages = [
    'README.md',
    ...docs.filter((name) => name.endsWith('.md')).map((n) => `docs/${n}`),
  ];
  return pages
    .flatMap((page) =>
      [...readFileSync(join(ROOT, page), 'utf8').matchAll(/```sql\n([\s\S]*?)```/g)].map(
        ([, statement = '']) => ({ page, statement }),
      ),
    )
    .filter(({ statement }) =>
      /posthorn\.(\w+_report|subscription_health|webhooks|webhook_payloads|deliveries|delivery_attempts)\b/.test(
        statement,
      ),
    );
}

/** Days of history with ended deliveries, and today a delivery in each of the other states. */
async function fillDays(client: pg.Client): Promise<void> {
  await client.query(`
    set timezone = 'UTC';
    select posthorn.ensure_partitions(current_date - ${DAYS}, current_date + 1, 1);
    insert into posthorn.subscriptions (url)
    select 'https://receiver.example/' || n from generate_series(1, 5) n;
    create temp table made as
    select n, at, 1 + n % 5 as subscription_id,
      overlay(posthorn.uuidv7_floor(at)::text placing lpad(to_hex(n), 12, '0') from 25 for 12)::uuid as id
    from (
      select n, now() - interval '1 minute' - n * interval '${DAYS} days' / ${DAYS * 500} as at
      from generate_series(0, ${DAYS * 500} - 1) n
    ) as moments
    -- Whole days: Postgres reads a small table in full, whatever its indexes.
    where at >= current_date - ${DAYS - 1};
    insert into posthorn.webhook_payloads (id, accepted_at, event_type, content_type, body)
    select id, at, 'order.created', 'application/json',
      convert_to('{"type":"order.created","data":{"id":' || n || ',"text":"' || repeat('x', 500) || '"}}', 'UTF8')
    from made;
    insert into posthorn.deliveries (webhook_id, subscription_id, state, attempt_count, next_attempt_at, ended_at)
    select id, subscription_id,
      (case when n < 2 then 'pending' when n < 4 then 'held' when n % 20 = 0 then 'failed' else 'succeeded' end)::posthorn.delivery_state,
      1, case when n < 4 then now() + interval '1 minute' end, case when n >= 4 then at end
    from made;
    insert into posthorn.delivery_attempts
      (at, webhook_id, subscription_id, attempt_number, status, response_code, duration_ms)
    select at, id, subscription_id, 1,
      (case when n < 4 or n % 20 = 0 then 'failed' else 'success' end)::posthorn.attempt_status, 200, 20
    from made;
    insert into posthorn.circuits (subscription_id, failing_since, failures, last_failed_at, opened_at,
      probe_at, probe_interval_ms)
    values (1, now() - interval '1 hour', 10, now(), now(), now() + interval '1 hour', 60000);
    analyze posthorn.webhook_payloads, posthorn.deliveries, posthorn.delivery_attempts, posthorn.subscriptions;`);
}

/**
 * Runs a statement and returns what it read of history. No function is called in which the plan cannot be seen.
 *
 * @param values of its parameters; undefined: it has none. The plan is then one for any values.
 */
async function scansOf(
  client: pg.Client,
  statement: string,
  values?: readonly string[],
): Promise<Scan[]> {
  await client.query('begin');
  let explained = statement;
  if (values !== undefined) {
    await client.query('set local plan_cache_mode = force_generic_plan');
    await client.query(`prepare report as ${statement}`);
    explained = `execute report (${values.map((value) => `'${value}'`).join(', ')})`;
  }
  const { rows } = await client.query(`explain (analyze, buffers, format json) ${explained}`);
  await client.query('rollback');
  if (values !== undefined) await client.query('deallocate report');
  const scans: Scan[] = [];
  const visit = (node: Node): void => {
    if (node['Node Type'] === 'Function Scan' && /_between$/.test(node['Function Name'] ?? ''))
      throw new Error('the function was not put in the place of its call');
    const [, day] =
      /^(?:webhook_payloads|deliveries|delivery_attempts)_(\d{8})$/.exec(
        node['Relation Name'] ?? '',
      ) ?? [];
    if (day !== undefined && node['Actual Loops'] > 0)
      scans.push({
        partition: node['Relation Name'] ?? '',
        day,
        rows: Math.round(
          (node['Actual Rows'] +
            (node['Rows Removed by Filter'] ?? 0) +
            (node['Rows Removed by Index Recheck'] ?? 0)) *
            node['Actual Loops'],
        ),
      });
    for (const child of node.Plans ?? []) visit(child);
  };
  visit(rows[0]['QUERY PLAN'][0].Plan);
  return scans;
}

/** The days of the partitions that a statement plans, and so locks, whether or not it reads them. */
async function plannedDays(client: pg.Client, statement: string): Promise<string[]> {
  await client.query('begin');
  await client.query(statement);
  const { rows } = await client.query<{ day: string }>(
    `select distinct right(c.relname, 8) as day
     from pg_locks l
     join pg_inherits i on i.inhrelid = l.relation
     join pg_class c on c.oid = l.relation
     where l.pid = pg_backend_pid() and c.relkind = 'r' and c.relname ~ '_[0-9]{8}$'
     order by 1`,
  );
  await client.query('rollback');
  return rows.map(({ day }) => day);
}

const INTERVAL = /webhook_id >= posthorn\.uuidv7_floor\(now\(\) - interval '([^']+)'\)/;
const ID = /webhook_id = '([0-9a-f-]{36})'/;

/**
 * The first day (UTC) that a report asks for, and the last. A report that names no period is about now: about
 * unfinished deliveries, or about attempts of the last day. The database finds these by indexes, in which the
 * other days have nothing.
 */
async function askedDays(
  client: pg.Client,
  statement: string,
): Promise<[string, string, 'scan' | 'row']> {
  const day = async (time: string, value: string) => {
    const { rows } = await client.query<{ day: string }>(
      `select to_char((${time}) at time zone 'UTC', 'YYYYMMDD') as day`,
      [value],
    );
    return rows[0]?.day ?? '';
  };
  const [, interval] = INTERVAL.exec(statement) ?? [];
  const [, id] = ID.exec(statement) ?? [];
  const end = await day('now() + $1::interval', '8 days');
  if (interval !== undefined) return [await day('now() - $1::interval', interval), end, 'scan'];
  if (id !== undefined) {
    const only = await day('posthorn.uuidv7_time($1::uuid)', id);
    return [only, only, 'scan'];
  }
  return [await day('now() - $1::interval', '1 day'), end, 'row'];
}

t.test('each documented report reads only the days that it asks for', async (t) => {
  const client = await connect(t, await createTestDatabase(t));
  await fillDays(client);
  const { rows } = await client.query<{ id: string }>(
    `select id from posthorn.webhook_payloads where id < posthorn.uuidv7_floor(now() - interval '20 days')
     order by id desc limit 1`,
  );
  // A transaction of another test, anywhere on the server, holds up posthorn.committed_before.
  await until('the watermark has come up', async () => {
    await client.query('select posthorn.mark_commits()');
    const { rows } = await client.query<{ is_recent: boolean }>(
      `select posthorn.committed_before() > posthorn.uuidv7_floor(now() - interval '1 minute') as is_recent`,
    );
    return rows[0]?.is_recent;
  });
  const reports = documentedReports();
  t.ok(reports.length >= 15, `${reports.length} reports`);
  for (const { page, statement: documented } of reports) {
    const statement = documented.replace(ID, `webhook_id = '${rows[0]?.id}'`);
    const [first, last, what] = await askedDays(client, statement);
    const scans = await scansOf(client, statement);
    t.ok(
      scans.some((scan) => scan.rows > 0),
      `reads something: ${statement}`,
    );
    const others = scans.filter((scan) => scan.day < first || scan.day > last);
    t.strictSame(
      others.filter((scan) => what === 'scan' || scan.rows > 0),
      [],
      `${page}, from ${first} to ${last}: ${statement}`,
    );
  }
});

t.test('a period of delivery_report limits each column, with and without the others', async (t) => {
  const client = await connect(t, await createTestDatabase(t));
  await fillDays(client);
  const { rows } = await client.query<{ name: string }>(
    `select attname as name from pg_attribute
     where attrelid = 'posthorn.delivery_report'::regclass and attnum > 0`,
  );
  t.ok(rows.length >= 15);
  const where = `where webhook_id >= posthorn.uuidv7_floor(now() - interval '2 days')`;
  for (const select of ['*', ...rows.map(({ name }) => name)]) {
    const statement = `select ${select} from posthorn.delivery_report ${where}`;
    const [first] = await askedDays(client, statement);
    const scans = await scansOf(client, statement);
    t.ok(
      scans.some((scan) => scan.rows > 0),
      `reads something: ${statement}`,
    );
    t.strictSame(
      scans.filter(({ day }) => day < first),
      [],
      statement,
    );
  }
});

t.test(
  'the functions of a period read only its days, also with a plan for any period',
  async (t) => {
    const client = await connect(t, await createTestDatabase(t));
    await fillDays(client);
    const { rows: times } = await client.query<{ since: string; until: string; days: string[] }>(
      `select since::text, (since + interval '30 hours')::text as until,
       array(select to_char(day, 'YYYYMMDD') from generate_series(since, since + interval '30 hours', '1 day') as day) as days
     from (select current_date - interval '10 days' as since) as asked`,
    );
    const [{ since, until, days }] = times as [{ since: string; until: string; days: string[] }];
    t.equal(days.length, 2);
    const period = [since, until] as const;
    const counted = async (table: string) => {
      const { rows } = await client.query(
        `select count(*)::integer as n from posthorn.${table}
       where webhook_id >= posthorn.uuidv7_floor($1) and webhook_id < posthorn.uuidv7_floor($2)`,
        [...period],
      );
      return rows[0].n;
    };
    for (const [name, table, args] of [
      ['deliveries_between', 'deliveries', `, 'default'`],
      ['attempts_between', 'delivery_attempts', ''],
    ]) {
      const { rows } = await client.query(
        `select count(*)::integer as n from posthorn.${name}($1, $2${args})`,
        [...period],
      );
      t.equal(rows[0].n, await counted(table as string), `${name} has all of the period`);
      t.ok(rows[0].n > 500, `${rows[0].n}`);
      for (const [what, most] of [
        [`select * from posthorn.${name}($1, $2)`, Number.POSITIVE_INFINITY],
        [`select count(*) from posthorn.${name}($1, $2${args})`, Number.POSITIVE_INFINITY],
        [
          `select * from posthorn.${name}($1, $2) where subscription_id = 1 and webhook_id = posthorn.uuidv7_floor($1)`,
          10,
        ],
        [`select webhook_id from posthorn.${name}($1, $2) order by webhook_id limit 10`, 60],
      ] as const) {
        const literal = what.replaceAll('$1', `'${since}'`).replaceAll('$2', `'${until}'`);
        for (const scans of [
          await scansOf(client, literal),
          await scansOf(
            client,
            what.replaceAll('$1', '$1::timestamptz').replaceAll('$2', '$2::timestamptz'),
            period,
          ),
        ]) {
          t.ok(scans.length > 0, what);
          t.strictSame(
            scans.filter(({ day }) => !days.includes(day)),
            [],
            what,
          );
          const read = scans.reduce((sum, { rows }) => sum + rows, 0);
          t.ok(read <= most, `${read} rows are read: ${what}`);
        }
      }
    }
    for (const name of ['deliveries_between', 'attempts_between'])
      t.strictSame(
        await plannedDays(client, `select * from posthorn.${name}('${since}', '${until}')`),
        days,
        `${name} plans and locks only the days of a period that is constant`,
      );
    const { rows: different } = await client.query(
      `with report as materialized (
         select * from posthorn.delivery_report
         where webhook_id >= posthorn.uuidv7_floor($1) and webhook_id < posthorn.uuidv7_floor($2)
       ), period as materialized (
         select * from posthorn.deliveries_between($1, $2)
       )
       (table report except table period) union all (table period except table report)`,
      [...period],
    );
    t.strictSame(different, [], 'deliveries_between has the rows of delivery_report');
    const failed = `select webhook_id from posthorn.deliveries_between($1, $2) where state = 'failed'`;
    const scans = await scansOf(client, failed, period);
    t.ok(
      scans.reduce((sum, { rows }) => sum + rows, 0) < 200,
      'a condition on the state uses an index',
    );
  },
);

t.test('the reports of tenants read only the days that a condition names', async (t) => {
  const client = await connect(t, await createTestDatabase(t));
  await fillDays(client);
  const where = `where webhook_id >= posthorn.uuidv7_floor(now() - interval '2 days')`;
  for (const report of ['tenant_deliveries', 'tenant_attempts', 'tenant_webhooks']) {
    const statement = `select * from posthorn.${report} ${where}`;
    const [first] = await askedDays(client, statement);
    const scans = await scansOf(client, statement);
    t.ok(
      scans.some(({ rows }) => rows > 0),
      statement,
    );
    t.strictSame(
      scans.filter(({ day }) => day < first),
      [],
      statement,
    );
  }
});
