import pg from 'pg';
import t, { type Test } from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { createRole, createSender } from '../helpers/sender.ts';

/** A database with the tenants acme and zeta besides the default one. */
async function start(t: Test) {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  await client.query(`insert into posthorn.tenants (id) values ('acme'), ('zeta')`);
  /** Runs statements as this role, in a transaction that is rolled back. */
  const as = async (role: string, ...statements: string[]) => {
    await client.query('begin');
    try {
      await client.query(`set local session authorization ${role}`);
      for (const statement of statements) await client.query(statement);
    } finally {
      await client.query('rollback');
    }
  };
  return { databaseUrl, client, as };
}

const sendFor = (tenant: string) => `select posthorn.send('a', '1', '${tenant}')`;
const FORBIDDEN = { code: '42501' };

t.test('the right to send is one of this database, and can be taken away', async (t) => {
  const { client, as } = await start(t);
  const other = await start(t);
  const role = await createRole(t, client);
  await t.rejects(as(role, sendFor('default')), { ...FORBIDDEN, message: /schema posthorn/ });
  await client.query('select posthorn.allow_sender($1)', [role]);
  for (const tenant of ['default', 'acme', 'zeta']) await as(role, sendFor(tenant));
  await as(role, `select posthorn.send_many('{a,b}', '{1,2}')`);
  await t.rejects(other.as(role, sendFor('default')), FORBIDDEN);
  await client.query('select posthorn.revoke_sender($1)', [role]);
  await t.rejects(as(role, sendFor('default')), FORBIDDEN);
  await client.query(`drop role ${role}; create role ${role}`);
  await client.query('select posthorn.revoke_sender($1)', ['nobody such']);
});

t.test(
  'a role that also reads the views keeps the schema when it may no longer send',
  async (t) => {
    const { client, as } = await start(t);
    const role = await createSender(t, client);
    await client.query(`grant select on posthorn.attempt_report to ${role}`);
    await client.query('select posthorn.revoke_sender($1)', [role]);
    await as(role, 'select from posthorn.attempt_report');
    await t.rejects(as(role, sendFor('default')), FORBIDDEN);
  },
);

t.test('a role that is limited to tenants sends for these only', async (t) => {
  const { client, as } = await start(t);
  const role = await createSender(t, client, ['acme']);
  const unlimited = await createSender(t, client);
  await as(role, sendFor('acme'));
  await as(unlimited, sendFor('zeta'));
  for (const statement of [
    sendFor('zeta'),
    // Whether there is such a tenant is not for it to know.
    sendFor('nobody'),
    `select posthorn.send('a', '1')`,
    `select posthorn.send_many('{a,b}', '{1,2}', 'zeta')`,
  ])
    await t.rejects(as(role, statement), {
      ...FORBIDDEN,
      message: new RegExp(
        `^the role "${role}" may not send for the tenant "(zeta|nobody|default)"$`,
      ),
    });
  const { hint } = (await as(role, sendFor('zeta')).catch((error) => error)) as pg.DatabaseError;
  const [, advice = ''] = /: (select .*);$/.exec(hint ?? '') ?? [];
  await client.query(advice);
  for (const tenant of ['acme', 'zeta']) await as(role, sendFor(tenant));
  await t.rejects(as(role, sendFor('default')), FORBIDDEN);
  // A further call replaces the tenants of the earlier one.
  await client.query('select posthorn.allow_sender($1, $2)', [role, ['zeta']]);
  await t.rejects(as(role, sendFor('acme')), FORBIDDEN);
});

t.test('the role that counts is that of set role, or the one that logged in', async (t) => {
  const { client, as } = await start(t);
  const ofAcme = await createSender(t, client, ['acme']);
  const ofZeta = await createSender(t, client, ['zeta']);
  // The pool of an application, which becomes the role of a tenant for each transaction.
  const pool = await createRole(t, client, 'noinherit');
  await client.query(`grant ${ofAcme}, ${ofZeta} to ${pool}`);
  await as(pool, `set local role ${ofAcme}`, sendFor('acme'));
  await t.rejects(as(pool, `set local role ${ofAcme}`, sendFor('zeta')), FORBIDDEN);
  await as(pool, `set local role ${ofZeta}`, sendFor('zeta'));
  await t.rejects(as(pool, sendFor('zeta')), FORBIDDEN);
  // A member has the tenants of all its groups.
  const member = await createRole(t, client, 'inherit');
  await client.query(`grant ${ofAcme}, ${ofZeta} to ${member}`);
  await as(member, sendFor('acme'), sendFor('zeta'));
  await t.rejects(as(member, sendFor('default')), FORBIDDEN);
});

t.test(
  'a limited role cannot pass its limit through a function that another role calls',
  async (t) => {
    const { client, as } = await start(t);
    const role = await createSender(t, client, ['acme']);
    const accomplice = await createRole(t, client);
    await client.query(`
    create schema theirs; grant usage, create on schema theirs to ${role}, ${accomplice};
    set role ${role};
    create function theirs.send(tenant text) returns uuid language sql security definer
      as $$ select posthorn.send('a', '1', tenant) $$;
    reset role;`);
    await t.rejects(as(accomplice, `select theirs.send('zeta')`), FORBIDDEN);
    await t.rejects(as(role, `select theirs.send('zeta')`), FORBIDDEN);
    await as(role, `select theirs.send('acme')`);
  },
);

t.test('without limits, a security definer function sends for whoever calls it', async (t) => {
  const { client, as } = await start(t);
  const application = await createSender(t, client);
  const clerk = await createRole(t, client);
  await client.query(`
    create schema theirs; grant usage on schema theirs to ${clerk}; grant create, usage on schema theirs to ${application};
    set role ${application};
    create function theirs.send() returns uuid language sql security definer
      as $$ select posthorn.send('a', '1', 'zeta') $$;
    reset role;`);
  await as(clerk, 'select theirs.send()');
  const limited = await createSender(t, client, ['acme']);
  await t.rejects(as(clerk, 'select theirs.send()'), {
    ...FORBIDDEN,
    message: new RegExp(clerk),
    hint: new RegExp(`allow_sender\\('${clerk}', '\\{zeta\\}'\\)`),
  });
  await client.query('select posthorn.allow_sender($1, $2)', [clerk, ['zeta']]);
  await as(clerk, 'select theirs.send()');
  await client.query('select posthorn.revoke_sender($1)', [limited]);
});

t.test('the owner and superusers send for all tenants, whatever the limits', async (t) => {
  const { databaseUrl, client, as } = await start(t);
  await createSender(t, client, ['acme']);
  await client.query(sendFor('zeta'));
  const superuser = await createRole(t, client, 'superuser');
  await as(superuser, sendFor('zeta'));
  // The owner as an ordinary role.
  const owner = await createRole(t, client);
  const session = await connect(t, databaseUrl);
  await session.query('begin');
  const { rows } = await session.query<{ statement: string }>(
    `select format('alter %s owner to ${owner}', what) as statement from (
       select 'function ' || oid::regprocedure as what from pg_proc where pronamespace = 'posthorn'::regnamespace
       union all select 'table ' || oid::regclass from pg_class where relnamespace = 'posthorn'::regnamespace and relkind in ('r', 'p')
       union all select 'schema posthorn') as objects`,
  );
  for (const { statement } of rows) await session.query(statement);
  await session.query(`grant usage on schema graphile_worker to ${owner};
    grant all on all tables in schema graphile_worker to ${owner};
    grant all on all sequences in schema graphile_worker to ${owner};
    grant execute on all functions in schema graphile_worker to ${owner};
    set local session authorization ${owner}`);
  await session.query(sendFor('zeta'));
  await session.query('rollback');
});

t.test('allow_sender refuses a role or tenants that do not exist', async (t) => {
  const { client } = await start(t);
  const role = await createRole(t, client);
  const allow = (...values: unknown[]) =>
    client.query('select posthorn.allow_sender($1, $2)', values);
  await t.rejects(allow('nobody such', null), {
    code: '42704',
    message: 'there is no role "nobody such"',
  });
  await t.rejects(allow(null, null), { code: '42704' });
  await t.rejects(allow(role, ['nobody']), { code: '23503', message: /no tenant "nobody"/ });
  for (const tenants of [[], [null], ['acme', null]])
    await t.rejects(allow(role, tenants), { code: '22023' });
  t.equal((await client.query('select from posthorn.rights')).rowCount, 0);
});

t.test('roles may have any name', async (t) => {
  const { client } = await start(t);
  const name = `${await createRole(t, client)} "Odd" '`;
  const quoted = pg.escapeIdentifier(name);
  await client.query(`create role ${quoted}`);
  t.teardown(() => client.query(`reset role; drop owned by ${quoted}; drop role ${quoted}`));
  await client.query('select posthorn.allow_sender($1, $2)', [name, ['acme']]);
  await client.query(`set role ${quoted}`);
  await client.query(sendFor('acme'));
  await t.rejects(client.query(sendFor('zeta')), FORBIDDEN);
  await client.query('reset role');
  await client.query('select posthorn.revoke_sender($1)', [name]);
});
