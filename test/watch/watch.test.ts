import t, { type Test } from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { createRole, createSender } from '../helpers/sender.ts';
import { startTestService } from '../helpers/service.ts';

interface Sent {
  readonly type: string;
  readonly tenant: string;
  readonly key: string | null;
  // biome-ignore lint/suspicious/noExplicitAny: the data of a webhook has the columns of any table
  readonly data: any;
}

/** A database of an application with the table shop.orders, and what its watches have sent. */
export async function start(t: Test) {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  await client.query(`
    create schema shop;
    set search_path = shop, public;
    create table shop.orders (id integer primary key, total numeric, note text)`);
  const watch = async (options: Record<string, unknown> = {}, rel = 'shop.orders') => {
    const names = Object.keys(options);
    const { rows } = await client.query<{ id: number }>(
      `select posthorn.watch($1::regclass${names.map((name, n) => `, "${name}" => $${n + 2}`).join('')}) as id`,
      [rel, ...Object.values(options)],
    );
    return rows[0]?.id as number;
  };
  /** Returns what was sent since the last call, in its order. */
  const sent = async (): Promise<Sent[]> => {
    const { rows } = await client.query<Sent>(
      `with gone as (delete from posthorn.webhook_payloads returning *)
       select event_type as type, tenant, ordering_key as key, convert_from(body, 'UTF8')::jsonb -> 'data' as data
       from gone order by id`,
    );
    return rows;
  };
  return { databaseUrl, client, watch, sent };
}

const typesOf = (webhooks: readonly Sent[]) => webhooks.map(({ type }) => type);
const BOTH = ['statement', 'row'];

for (const per of BOTH) {
  t.test(`each changed row of a table is a webhook, per ${per}`, async (t) => {
    const { client, watch, sent } = await start(t);
    await watch({ per });
    await client.query(`insert into orders values (7, 12.5, 'a'), (8, 1, null)`);
    t.match(await sent(), [
      {
        type: 'orders.inserted',
        tenant: 'default',
        key: null,
        data: { new: { id: 7, total: 12.5, note: 'a' } },
      },
      { type: 'orders.inserted', data: { new: { id: 8, total: 1, note: null } } },
    ]);
    await client.query('update orders set total = 13 where id = 7');
    t.strictSame(await sent(), [
      {
        type: 'orders.updated',
        tenant: 'default',
        key: null,
        data: {
          new: { id: 7, total: 13, note: 'a' },
          old: { id: 7, total: 12.5, note: 'a' },
          changed: ['total'],
        },
      },
    ]);
    await client.query('delete from orders where id = 8');
    t.strictSame((await sent())[0]?.data, { old: { id: 8, total: 1, note: null } });
    await client.query('begin; delete from orders; rollback');
    await client.query('update orders set total = 0 where false; truncate orders');
    t.strictSame(await sent(), [], 'a rolled back change and a truncate send nothing');
  });

  t.test(`a watch sends only what it is asked to send, per ${per}`, async (t) => {
    const { client, watch, sent } = await start(t);
    const only = async (options: Record<string, unknown>) => {
      const id = await watch({ per, ...options });
      await client.query(`
        insert into orders values (1, 50, 'a'), (2, 150, 'b');
        update orders set note = 'c';
        update orders set total = total + 100;
        update orders set total = total + 0.0;
        delete from orders`);
      await client.query('select posthorn.unwatch($1)', [id]);
      return await sent();
    };
    t.strictSame(typesOf(await only({ ops: ['DELETE', 'insert'] })), [
      'orders.inserted',
      'orders.inserted',
      'orders.deleted',
      'orders.deleted',
    ]);
    t.equal((await only({})).length, 10, 'without `columns`, each update counts');
    const ofTotal = await only({ columns: ['total'], ops: ['update'] });
    t.strictSame(
      ofTotal.map(({ data }) => data.changed),
      [['total'], ['total']],
      'an update of other columns, or to an equal value, does not count',
    );
    t.strictSame((await only({ payload_columns: ['id', 'note'], ops: ['update'] }))[0]?.data, {
      new: { id: 1, note: 'c' },
      old: { id: 1, note: 'a' },
      changed: ['note'],
    });
    t.strictSame((await only({ payload_columns: ['id'], ops: ['delete'] }))[0]?.data, {
      old: { id: 1 },
    });
    t.strictSame(Object.keys((await only({ with_old: false, ops: ['update'] }))[0]?.data ?? {}), [
      'new',
      'changed',
    ]);
    t.strictSame(typesOf(await only({ event_type: 'sales.order', ops: ['delete'] })), [
      'sales.order.deleted',
      'sales.order.deleted',
    ]);
    t.strictSame(
      (await only({ when: 'new.total > 100' })).map(({ type, data }) => [type, data.new.total]),
      [
        ['orders.inserted', 150],
        ['orders.updated', 150],
        ['orders.updated', 150],
        ['orders.updated', 250],
        ['orders.updated', 150],
        ['orders.updated', 250],
      ],
    );
    t.strictSame(
      typesOf(await only({ when: 'old.total > 200 and new.id is null -- all of the big ones' })),
      ['orders.deleted'],
      'the old row of an insert and the new row of a delete are nulls',
    );
    t.strictSame(
      (
        await only({
          when: 'exists (select from shop.orders o where o.id = new.id and new.total < 100)',
        })
      ).length,
      2,
    );
  });

  t.test(`the ordering key is made of columns, per ${per}`, async (t) => {
    const { client, watch, sent } = await start(t);
    const keys = async (ordering_key: string, note = 'a') => {
      const id = await watch({ per, ordering_key });
      await client.query(`insert into orders values (1, 2.5, $1), (3, null, null)`, [note]);
      await client.query('delete from orders; ');
      await client.query('select posthorn.unwatch($1)', [id]);
      return (await sent()).slice(0, 2).map(({ key }) => key);
    };
    t.strictSame(await keys('pk'), ['1', '3']);
    t.strictSame(await keys('note, id'), ['a,1', '3']);
    t.strictSame(await keys('note'), ['a', null], 'a null is no key');
    const [long] = await keys('note', 'x'.repeat(1000));
    t.match(long, /^[0-9a-f]{32}$/, 'a long key is replaced by its MD5');
  });

  t.test(`the tenant of a row is in a column, per ${per}`, async (t) => {
    const { client, watch, sent } = await start(t);
    await client.query(`insert into posthorn.tenants (id) values ('acme'), ('zeta')`);
    await watch({ per, tenant_column: 'note' });
    await client.query(`insert into orders values (1, 1, 'acme'), (2, 1, 'zeta'), (3, 1, 'acme')`);
    t.strictSame((await sent()).map(({ tenant, data }) => [tenant, data.new.id]).sort(), [
      ['acme', 1],
      ['acme', 3],
      ['zeta', 2],
    ]);
    await client.query(`update orders set note = 'zeta', total = 5 where id < 3`);
    const moved = await sent();
    t.strictSame(
      moved.map(({ type, tenant }) => `${tenant} ${type}`).sort(),
      ['acme orders.deleted', 'zeta orders.inserted', 'zeta orders.updated'],
      'a row that moves to another tenant is deleted for one and inserted for the other',
    );
    t.strictSame(
      moved
        .filter(({ tenant }) => tenant === 'zeta')
        .filter(({ data }) => JSON.stringify(data).includes('acme')),
      [],
      'the new tenant gets nothing of the old row',
    );
    await t.rejects(client.query(`insert into orders values (4, 1, null)`), {
      code: '22004',
      message: /^the watch \d on shop\.orders cannot send: the tenant column of the row is null$/,
    });
    await t.rejects(client.query(`insert into orders values (4, 1, 'nobody')`), { code: '23503' });
  });

  t.test(`a statement fails if its webhooks cannot be sent, per ${per}`, async (t) => {
    const { client, watch, sent } = await start(t);
    const id = await watch({ per, when: '1 / new.total > 0' });
    await t.rejects(client.query(`insert into orders values (1, 0, null)`), {
      code: '22012',
      message: `the watch ${id} on shop.orders cannot send: division by zero`,
      hint: new RegExp(`posthorn.unwatch\\(${id}\\)`),
    });
    await t.rejects(client.query(`insert into orders values (1, 1, $1)`, ['x'.repeat(1_100_000)]), {
      code: '54000',
      message:
        /^the watch \d on shop\.orders cannot send: the webhook "orders.inserted".* has \d+ bytes/,
      hint: /POSTHORN_MAX_BODY/,
    });
    t.equal((await client.query('select from orders')).rowCount, 0);
    t.strictSame(await sent(), []);
  });

  t.test(`with on_error skip the writer goes on and failures are seen, per ${per}`, async (t) => {
    const { client, watch, sent } = await start(t);
    const id = await watch({ per, on_error: 'skip' });
    const big = 'x'.repeat(1_100_000);
    await client.query(`insert into orders values (1, 1, 'a'), (2, 1, $1), (3, 1, 'c')`, [big]);
    t.strictSame(
      (await sent()).map(({ data }) => data.new.id),
      [1, 3],
      'the others are sent',
    );
    const look = async () =>
      (
        await client.query(
          `select id, failures::integer, last_error, last_failed_at > now() - interval '1 hour' as recent from posthorn.watches`,
        )
      ).rows;
    t.match(await look(), [{ id, failures: 1, last_error: /has \d+ bytes/, recent: true }]);
    await client.query(`alter table orders add column odd json`);
    await client.query(`insert into orders values (4, 1, 'a', '"\\u0000"'), (5, 1, 'b', '1')`);
    t.match(await look(), [{ failures: per === 'row' ? 2 : 3, last_error: /Unicode|\\u0000/ }]);
    t.equal((await client.query('select from orders')).rowCount, 5);
  });
}

t.test('a table is refused with the reason and what would work', async (t) => {
  const { client, watch } = await start(t);
  await client.query(`
    create view seen as select * from orders;
    create materialized view kept as select * from orders;
    create temp table brief (id integer);
    create sequence counter;
    create table parts (id integer) partition by range (id);
    create table parts_1 partition of parts for values from (0) to (10);
    create foreign data wrapper elsewhere; create server far foreign data wrapper elsewhere;
    create foreign table far_orders (id integer) server far;
    create table "odd name" (id integer)`);
  const refused = async (rel: string, message: RegExp, hint: RegExp, options = {}) =>
    await t.rejects(watch(options, rel), { code: '42809', message, hint }, rel);
  await refused('seen', /is a view/, /tables that it reads/);
  await refused('kept', /is a view/, /tables that it reads/);
  await refused('far_orders', /foreign table/, /posthorn\.send/);
  await refused('brief', /temporary/, /lasting table/);
  await refused('counter', /is not a table/, /table/);
  await refused('pg_catalog.pg_class', /system table/, /your own/);
  await refused('graphile_worker.migrations', /Posthorn itself/, /operational webhooks/);
  await refused('parts_1', /is a partition/, /partitioned table, or use per => 'row'/);
  const { rows } = await client.query<{ name: string }>(
    `select oid::regclass::text as name from pg_class where relnamespace = 'posthorn'::regnamespace and relkind in ('r', 'p')`,
  );
  t.ok(rows.length > 40);
  for (const { name } of rows) await refused(name, /belongs to Posthorn itself/, /./);
  await t.rejects(watch({}, 'odd name'), { code: '42602' });
  await t.rejects(watch({}, '"odd name"'), {
    code: '22023',
    message: /"odd name\.inserted" is not an event type/,
    hint: /event_type => 'orders'/,
  });
  await t.resolves(watch({ event_type: 'odd_name' }, '"odd name"'));
  t.equal((await client.query('select from posthorn.watches')).rowCount, 1);
});

t.test('options that would fail at the first write are refused at once', async (t) => {
  const { client, watch } = await start(t);
  const cases: [
    Record<string, unknown>,
    { code?: string; message?: string | RegExp; hint?: RegExp },
  ][] = [
    [{ ops: ['truncate'] }, { code: '22023', message: /truncate/ }],
    [{ ops: [] }, { code: '22023' }],
    [{ per: 'table' }, { code: '22023', hint: /statement/ }],
    [{ on_error: 'ignore' }, { code: '22023', hint: /skip/ }],
    [{ columns: ['totl'] }, { code: '42703', message: /columns.*"totl"/, hint: /id, total, note/ }],
    [{ payload_columns: ['a'] }, { code: '42703', message: /payload_columns/ }],
    [{ payload_columns: [] }, { code: '22023', message: /empty list/ }],
    [{ tenant_column: 'a' }, { code: '42703', message: /tenant_column/ }],
    [{ ordering_key: 'id, a' }, { code: '42703', message: /ordering_key/ }],
    [{ tenant: 'acme', tenant_column: 'note' }, { code: '22023' }],
    [{ tenant: 'nobody' }, { code: '23503', message: 'there is no tenant "nobody"' }],
    [{ event_type: 'posthorn.a' }, { code: '42939' }],
    [{ event_type: 'x'.repeat(120) }, { code: '22023' }],
    [{ when: 'new.totl > 1' }, { code: '42703', message: /condition.*new\.totl does not exist/ }],
    [{ when: 'total > 1' }, { code: '42702', message: /ambiguous/ }],
    [{ when: 'new.total' }, { code: '42804', message: /must be type boolean/ }],
    [{ when: 'new.total >' }, { code: '42601' }],
    [{ when: 'problem is null' }, { code: '42703' }],
    [{ when: 'count(new.*) > 1' }, { code: '42803' }],
  ];
  for (const [options, error] of cases)
    t.match(await watch(options).catch((raised) => raised), error, JSON.stringify(options));
  await client.query('create table bare (id integer)');
  await t.rejects(watch({ ordering_key: 'pk' }, 'bare'), { message: /no primary key/ });
  await client.query('update posthorn.tenants set strict_event_types = true');
  await t.rejects(watch(), { code: '22023', message: /"orders.inserted" is not registered/ });
  const { rows } = await client.query(
    `select (select count(*) from posthorn.watches)::integer as watches,
       (select count(*) from posthorn.webhook_payloads)::integer as webhooks,
       (select count(*) from pg_proc where proname like 'posthorn_watch%')::integer as functions`,
  );
  t.strictSame(rows, [{ watches: 0, webhooks: 0, functions: 0 }], 'nothing is left of them');
});

t.test(
  'an application watches its own tables, and its writers need no further right',
  async (t) => {
    const { client, sent } = await start(t);
    const application = await createSender(t, client);
    const writer = await createRole(t, client);
    const stranger = await createSender(t, client);
    await client.query(`
    grant usage, create on schema shop to ${application};
    grant usage on schema shop to ${writer}, ${stranger};
    alter table shop.orders owner to ${application};
    grant insert on shop.orders to ${writer}; grant trigger on shop.orders to ${stranger};
    create function shop.me() returns name language sql as 'select current_user';
    create table shop.seen (who name); alter table shop.seen owner to ${application}`);
    const as = async (role: string, statement: string) => {
      await client.query(`set session authorization ${role}`);
      try {
        return await client.query(statement);
      } finally {
        await client.query('reset session authorization');
      }
    };
    await as(
      application,
      `select posthorn.watch('shop.orders', "when" => $$ shop.me() = '${application}' $$)`,
    );
    await as(writer, 'insert into shop.orders values (1, 2, null)');
    t.strictSame(
      typesOf(await sent()),
      ['orders.inserted'],
      "with the rights of the table's owner",
    );
    await t.rejects(as(writer, `select posthorn.watch('shop.orders')`), { code: '42501' });
    await t.rejects(as(stranger, `select posthorn.watch('shop.orders')`), {
      code: '42501',
      message: /only the owner of a table can watch it/,
    });
    await t.rejects(as(stranger, `select posthorn.unwatch('shop.orders')`), { code: '42704' });
    const { rows } = await as(application, 'select id, rel::text, owner from posthorn.watches');
    t.strictSame(rows, [{ id: 1, rel: 'orders', owner: application }]);
    t.equal((await as(application, `select posthorn.unwatch('shop.orders')`)).rowCount, 1);

    // A superuser who watches the table of another role gives the condition no more rights than that role has.
    await client.query(
      `select posthorn.watch('shop.orders', "when" => $$ shop.me() = '${application}' $$)`,
    );
    await as(writer, 'insert into shop.orders values (2, 2, null)');
    t.equal((await sent()).length, 1);
    await client.query(
      `select posthorn.unwatch('shop.orders'); select posthorn.revoke_sender('${application}')`,
    );
    await t.rejects(client.query(`select posthorn.watch('shop.orders')`), {
      code: '42501',
      message: new RegExp(`role ${application}, may not send`),
      hint: new RegExp(`allow_sender\\('${application}'\\)`),
    });
    await t.rejects(as(application, `select posthorn.watch('shop.orders')`), { code: '42501' });
  },
);

t.test('a role that is limited to tenants watches for these only', async (t) => {
  const { client } = await start(t);
  await client.query(`insert into posthorn.tenants (id) values ('acme'), ('zeta')`);
  const role = await createSender(t, client, ['acme']);
  await client.query(`
    grant usage, create on schema shop to ${role}; alter table shop.orders owner to ${role};
    set session authorization ${role}`);
  await t.rejects(client.query(`select posthorn.watch('shop.orders', tenant => 'zeta')`), {
    code: '42501',
  });
  await t.rejects(client.query(`select posthorn.watch('shop.orders')`), { code: '42501' });
  await client.query(`select posthorn.watch('shop.orders', tenant => 'acme')`);
  await client.query('insert into shop.orders values (1, 1, null)');
  await client.query('reset session authorization');
});

t.test('the API shows the watches of the database', async (t) => {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(`create schema shop; create table shop.orders (id integer primary key);
    select posthorn.watch('shop.orders', columns => '{id}', "when" => 'new.id > 0', on_error => 'skip'),
      posthorn.watch('shop.orders', ops => '{delete}')`);
  const { status, json } = await posthorn.request('GET', '/v1/watches?limit=1');
  t.equal(status, 200);
  const first = {
    id: 1,
    schema: 'shop',
    table: 'orders',
    enabled: true,
    owner: 'posthorn',
    ops: ['insert', 'update', 'delete'],
    columns: ['id'],
    payload_columns: null,
    when: 'new.id > 0',
    with_old: true,
    ordering_key: null,
    tenant: 'default',
    tenant_column: null,
    per: 'statement',
    event_type: 'orders',
    on_error: 'skip',
    failures: 0,
    last_failed_at: null,
    last_error: null,
  };
  t.match(json.data, [{ ...first, owner: /./ }]);
  const next = await posthorn.request('GET', `/v1/watches?cursor=${json.next_cursor}`);
  t.match(next.json, { data: [{ id: 2, ops: ['delete'] }], next_cursor: null });
  t.match((await posthorn.request('GET', '/v1/watches/1')).json, { ...first, owner: /./ });
  t.equal((await posthorn.request('GET', '/v1/watches/3')).status, 404);
});
