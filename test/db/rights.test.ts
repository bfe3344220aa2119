import t, { type Test } from 'tap';
import { migrate } from '../../src/db/migrate.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { createRole } from '../helpers/sender.ts';
import { addTenants, CONFIDENTIAL, type OfTenant } from '../helpers/tenants.ts';

const FORBIDDEN = { code: '42501' };
const REPORTS = ['delivery_report', 'attempt_report', 'webhooks', 'subscription_health'] as const;
const OF_TENANTS = [
  'tenant_deliveries',
  'tenant_attempts',
  'tenant_webhooks',
  'tenant_subscriptions',
] as const;
const BODIES: Readonly<Record<string, readonly string[]>> = {
  webhooks: ['payload', 'headers'],
  tenant_webhooks: ['payload', 'headers'],
  attempt_report: ['response_excerpt'],
  tenant_attempts: ['response_excerpt'],
};

/** What tells a row of a tenant. */
const toldOf = ({ tenant, webhook, subscription }: OfTenant) =>
  new RegExp(`\\b(${tenant}|${webhook})\\b|^told ${subscription}$`);

async function start(t: Test) {
  const databaseUrl = await createTestDatabase(t);
  const owner = await connect(t, databaseUrl);
  // Ids that nothing else has.
  await owner.query('alter sequence posthorn.subscriptions_id_seq restart with 4096001');
  const of = await addTenants(owner, ['default', 'acme', 'zeta']);
  const role = await createRole(t, owner);
  /** Runs a statement as the role, and returns its rows. */
  const ask = async (statement: string, values?: unknown[]) => {
    await owner.query('begin');
    try {
      await owner.query(`set local session authorization ${role}`);
      return (await owner.query(statement, values)).rows;
    } finally {
      await owner.query('rollback');
    }
  };
  const columnsOf = async (report: string): Promise<string[]> => {
    const { rows } = await owner.query<{ name: string }>(
      `select attname as name from pg_attribute where attrelid = $1::regclass and attnum > 0`,
      [`posthorn.${report}`],
    );
    return rows.map(({ name }) => name);
  };
  return { databaseUrl, owner, of, role, ask, columnsOf };
}

t.test('a reporter reads all reports, and neither bodies nor the secrets in URLs', async (t) => {
  const { owner, role, ask, columnsOf } = await start(t);
  await owner.query('select posthorn.allow_reporter($1)', [role]);
  for (const report of [...REPORTS, ...OF_TENANTS, 'deliveries']) {
    const bodies = BODIES[report] ?? [];
    const columns = (await columnsOf(report)).filter((name) => !bodies.includes(name));
    const rows = await ask(`select ${columns.join(', ')} from posthorn.${report}`);
    t.equal(rows.length, 3, report);
    t.notMatch(JSON.stringify(rows), CONFIDENTIAL, report);
    for (const body of bodies)
      await t.rejects(
        ask(`select ${body} from posthorn.${report}`),
        FORBIDDEN,
        `${report}.${body}`,
      );
  }
  t.strictSame(
    await ask(`select subscription_url as url from posthorn.subscription_health order by 1`),
    [
      { url: 'https://receiver.example/acme?redacted' },
      { url: 'https://receiver.example/default?redacted' },
      { url: 'https://receiver.example/zeta?redacted' },
    ],
  );
  for (const statement of [
    'select secret from posthorn.subscriptions',
    'select body from posthorn.webhook_payloads',
    'select response_excerpt from posthorn.delivery_attempts',
    'table posthorn.rights',
    `select posthorn.send('a', '1')`,
    'select posthorn.pause(1)',
    'delete from posthorn.deliveries',
  ])
    await t.rejects(ask(statement), FORBIDDEN, statement);
});

t.test('a reporter with bodies reads these too, until it is allowed without', async (t) => {
  const { owner, role, ask } = await start(t);
  await owner.query('select posthorn.allow_reporter($1, bodies => true)', [role]);
  for (const [report, bodies] of Object.entries(BODIES))
    t.match(JSON.stringify(await ask(`select ${bodies[0]} from posthorn.${report}`)), CONFIDENTIAL);
  t.notMatch(JSON.stringify(await ask('select * from posthorn.subscription_health')), CONFIDENTIAL);
  await owner.query('select posthorn.allow_reporter($1)', [role]);
  for (const [report, bodies] of Object.entries(BODIES))
    await t.rejects(ask(`select ${bodies[0]} from posthorn.${report}`), FORBIDDEN);
});

t.test('a reporter that is limited to tenants sees nothing of other tenants', async (t) => {
  const { owner, of, role, ask, columnsOf } = await start(t);
  await owner.query(`select posthorn.allow_reporter($1, bodies => true, tenants => '{acme}')`, [
    role,
  ]);
  for (const report of OF_TENANTS) {
    const rows = await ask(`select * from posthorn.${report}`);
    t.strictSame(
      rows.map(({ tenant }) => tenant),
      ['acme'],
      report,
    );
  }
  for (const report of [...REPORTS, 'deliveries'])
    await t.rejects(ask(`select from posthorn.${report}`), FORBIDDEN, report);
  await t.rejects(ask(`select posthorn.deliveries_between(now(), now())`), FORBIDDEN);
  t.equal((await ask('select * from posthorn.status($1)', [of.acme.webhook])).length, 1);
  t.equal((await ask('select * from posthorn.status($1)', [of.zeta.webhook])).length, 0);

  // A condition that tells what it was asked about.
  await owner.query(`
    create schema theirs; grant usage, create on schema theirs to ${role};
    set role ${role};
    create table theirs.told (what text);
    create function theirs.tells(what text) returns boolean language plpgsql cost 0.0000001 as
      $$ begin raise notice 'told %', what; return true; end $$;
    reset role;`);
  const told: string[] = [];
  owner.on('notice', ({ message = '' }) => void told.push(message));
  // Whole rows and single columns are read, because a condition on one column may be checked before tables are joined.
  for (const report of OF_TENANTS)
    for (const what of ['r', ...(await columnsOf(report))])
      t.equal(
        (
          await ask(
            `select from posthorn.${report} r where theirs.tells(coalesce(${what}::text, ''))`,
          )
        ).length,
        1,
        `${report}.${what}`,
      );
  t.ok(told.length >= OF_TENANTS.length, `${told.length} notices`);
  t.strictSame(
    told.filter((text) => [of.zeta, of.default].some((other) => toldOf(other).test(text))),
    [],
  );
});

t.test('the tenants of a reporter limit neither what it sends nor what others read', async (t) => {
  const { owner, of, role, ask } = await start(t);
  await owner.query(
    `select posthorn.allow_reporter($1, tenants => '{acme}'), posthorn.allow_sender($1)`,
    [role],
  );
  await ask(`select posthorn.send('a', '1', 'zeta')`);
  // It may ask about what it sends.
  t.equal((await ask('select * from posthorn.status($1)', [of.zeta.webhook])).length, 1);
  const other = await createRole(t, owner);
  await owner.query('select posthorn.allow_reporter($1)', [other]);
  await owner.query(`set role ${other}`);
  t.equal((await owner.query('select from posthorn.tenant_webhooks')).rowCount, 3);
  await owner.query('reset role');
});

t.test('a right that is taken away leaves the other rights of the role', async (t) => {
  const { owner, of, role, ask } = await start(t);
  await owner.query(
    `select posthorn.allow_sender($1), posthorn.allow_reporter($1), posthorn.allow_manager($1)`,
    [role],
  );
  const { webhook, subscription } = of.default;
  const asks = {
    sender: [`select posthorn.send('a', '1')`],
    reporter: [
      'select webhook_id from posthorn.delivery_report',
      'select from posthorn.tenant_webhooks',
    ],
    manager: [`select posthorn.retry('${webhook}')`, `select posthorn.pause(${subscription})`],
  };
  const left = new Set(Object.keys(asks));
  for (const right of ['sender', 'manager', 'reporter'] as const) {
    t.equal((await ask('select * from posthorn.status($1)', [webhook])).length, 1);
    await owner.query(`select posthorn.revoke_${right}($1)`, [role]);
    left.delete(right);
    for (const [name, statements] of Object.entries(asks))
      for (const statement of statements)
        if (left.has(name)) await ask(statement);
        else await t.rejects(ask(statement), FORBIDDEN, `${name} without ${right}`);
  }
  await t.rejects(ask('select * from posthorn.status($1)', [webhook]), {
    ...FORBIDDEN,
    message: /schema posthorn/,
  });
  await owner.query(`drop role ${role}; create role ${role}`);
});

t.test('an upgrade gives the roles what their rights consist of now', async (t) => {
  const { databaseUrl, owner, role, ask } = await start(t);
  await owner.query(`select posthorn.allow_reporter($1), posthorn.allow_manager($1)`, [role]);
  await owner.query(
    'drop view posthorn.tenant_webhooks; drop function posthorn.generate_secret; drop function posthorn.retry',
  );
  await migrate(databaseUrl);
  t.equal((await ask('select webhook_id from posthorn.tenant_webhooks')).length, 3);
  await t.rejects(ask('select payload from posthorn.tenant_webhooks'), FORBIDDEN);
  t.equal((await ask('select posthorn.generate_secret()')).length, 1);
});

t.test('a role that does not exist, or tenants that do not, get no right', async (t) => {
  const { owner, role } = await start(t);
  for (const right of ['reporter', 'manager']) {
    await t.rejects(owner.query(`select posthorn.allow_${right}('nobody such')`), {
      code: '42704',
    });
    await t.rejects(owner.query(`select posthorn.allow_${right}($1, tenants => '{}')`, [role]), {
      code: '22023',
      hint: new RegExp(`revoke_${right}`),
    });
    await t.rejects(
      owner.query(`select posthorn.allow_${right}($1, tenants => '{nobody}')`, [role]),
      {
        code: '23503',
      },
    );
  }
  t.equal((await owner.query('select from posthorn.rights')).rowCount, 0);
});

t.test('a URL in a report has no user name, password, query or fragment', async (t) => {
  const { owner } = await start(t);
  for (const [url, shown] of [
    ['https://a.example/path', 'https://a.example/path'],
    ['https://a.example:8443/path?a=b&c', 'https://a.example:8443/path?redacted'],
    ['https://user:pass@a.example/@x', 'https://redacted@a.example/@x'],
    ['http://user@other@a.example?x', 'http://redacted@a.example?redacted'],
    ['https://a.example#secret?', 'https://a.example'],
    ['https:///user:pass@a.example/', 'https:///redacted@a.example/'],
    ['https:\\\\user:pass@a.example/', 'https:\\\\redacted@a.example/'],
    ['https://a.example?x@y', 'https://a.example?redacted'],
  ])
    t.equal(
      (await owner.query('select posthorn.redact_url($1) as shown', [url])).rows[0].shown,
      shown,
    );
});
