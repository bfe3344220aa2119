import pg from 'pg';
import t, { type Test } from 'tap';
import { forgetBackfills } from '../../src/maintenance/backfills.ts';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { createSender } from '../helpers/sender.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

async function start(t: Test) {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const { status } = await posthorn.request('POST', '/v1/subscriptions', {
    url: receiver.url,
    event_types: ['orders.*'],
  });
  t.equal(status, 201);
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(`create schema shop; set search_path = shop;
    create table orders (id integer primary key, total numeric, note text)`);
  const state = async (id: number) => {
    const { rows } = await client.query('select * from posthorn.backfills where id = $1', [id]);
    return rows[0];
  };
  const one = async (statement: string) => {
    const { rows } = await client.query({ text: statement, rowMode: 'array' });
    return rows[0]?.[0];
  };
  const received = () => receiver.received.map(({ body }) => JSON.parse(body.toString()));
  return { posthorn, receiver, client, state, one, received };
}

t.test('changes and existing rows of a watched table reach the receiver', async (t) => {
  const { receiver, client, state, one, received } = await start(t);
  await client.query('insert into orders select n, n from generate_series(1, 2500) n');
  await client.query(`select posthorn.watch('orders', "when" => 'new.total > 0')`);
  await client.query('insert into orders values (5000, 1)');
  const id = await one(`select posthorn.backfill('orders', 'new.id % 2 = 0 and new.id < 5000')`);
  await until('it has ended', async () => (await state(id)).state === 'succeeded');
  await receiver.waitFor(1251);
  const all = received();
  t.strictSame(
    all.filter(({ data }) => !data.backfill).map(({ type, data }) => [type, data.new.id]),
    [['orders.inserted', 5000]],
  );
  const rows = all.filter(({ data }) => data.backfill);
  t.strictSame(
    rows.map(({ data }) => data.new.id).sort((a, b) => a - b),
    [...Array.from({ length: 1250 }, (_, n) => 2 * (n + 1))],
  );
  t.ok(rows.every(({ type }) => type === 'orders.inserted'));
  t.match(await state(id), { rows_sent: '1250', progress: 1, sent_by_workers: true, error: null });
});

t.test('a backfill keeps to its rate, and can be cancelled', async (t) => {
  const { posthorn, client, state, one } = await start(t);
  await client.query('insert into orders select n, n from generate_series(1, 1000) n');
  await client.query(`select posthorn.watch('orders')`);
  const startedAt = performance.now();
  const id = await one(`select posthorn.backfill('orders', per_second => 20)`);
  await until('some rows are sent', async () => Number((await state(id)).rows_sent) >= 60);
  const { rows_sent, progress } = await state(id);
  const seconds = (performance.now() - startedAt) / 1000;
  // A late portion catches up by a second at most.
  t.ok(Number(rows_sent) <= 20 * (seconds + 2), `${rows_sent} rows in ${seconds} s`);
  t.ok(progress >= 0 && progress < 1, `${progress}`);
  t.equal(await one(`select posthorn.cancel_backfill(${id})`), true);
  const { rows_sent: last } = await state(id);
  t.equal((await state(id)).state, 'cancelled');
  t.equal(await one(`select posthorn.cancel_backfill(${id})`), false);
  const sent = await one('select count(*)::integer from posthorn.webhook_payloads');
  t.equal(sent, Number(last));
  const pool = new pg.Pool({ connectionString: posthorn.databaseUrl });
  t.teardown(() => pool.end());
  await forgetBackfills(pool, 3_600_000);
  t.ok(await state(id), 'an ended backfill is shown for as long as history is kept');
  await client.query(`update posthorn.backfill_runs set ended_at = now() - interval '2 hours'`);
  await forgetBackfills(pool, 3_600_000);
  t.equal(await state(id), undefined);
});

t.test('partitions are sent one after the other, and no row twice or never', async (t) => {
  const { client, state, one } = await start(t);
  await client.query(`
    create table parts (id integer, part integer, text text) partition by list (part);
    create table parts_0 partition of parts for values in (0);
    create table parts_1 (text text, part integer, id integer); alter table parts attach partition parts_1 for values in (1);
    create table parts_2 partition of parts default partition by range (id);
    create table parts_2_a partition of parts_2 for values from (0) to (2000);
    create table parts_2_b partition of parts_2 default;
    insert into parts select n, n % 3, repeat('x', n % 2000) from generate_series(1, 4000) n;
    delete from parts where id % 7 = 0;
    select posthorn.watch('parts', payload_columns => '{id}', ordering_key => 'id')`);
  const id = await one(`select posthorn.backfill('parts')`);
  await until('it has ended', async () => (await state(id)).state === 'succeeded');
  const { rows } = await client.query(
    `select count(*)::integer as all, count(distinct ordering_key)::integer as different,
       (select count(*)::integer from parts) as rows from posthorn.webhook_payloads`,
  );
  t.strictSame(rows, [{ all: 3429, different: 3429, rows: 3429 }]);
  t.match(await state(id), { rows_sent: '3429', progress: 1 });
});

t.test('a backfill that cannot go on says why', async (t) => {
  const { client, state, one } = await start(t);
  await client.query(`insert into orders values (1, 0), (2, 1);
    select posthorn.watch('orders', "when" => '1 / new.total > 0'), posthorn.watch('orders')`);
  await t.rejects(client.query(`select posthorn.backfill('orders')`), {
    message: 'shop.orders has 2 watches',
    hint: 'Name one of them: 1, 2.',
  });
  await t.rejects(client.query(`select posthorn.backfill(2, 'new.a = 1')`), { code: '42703' });
  await t.rejects(client.query(`select posthorn.backfill(2, 'old.id = 1')`), { code: '42P01' });
  await t.rejects(client.query(`select posthorn.backfill(2, per_second => 0)`), { code: '22023' });
  await t.rejects(client.query(`select posthorn.backfill(99)`), { code: '42704' });
  const id = await one(`select posthorn.backfill(1)`);
  await until('it has failed', async () => (await state(id)).state === 'failed');
  t.match(await state(id), { error: /division by zero/, rows_sent: '0' });
  await client.query(`select posthorn.unwatch(1)`);
  const gone = await one(`select posthorn.backfill(2, per_second => 1)`);
  await client.query('drop table orders');
  await until('it has failed', async () => (await state(gone)).state === 'failed');
});

t.test("the owner of a table without Posthorn's rights sends a backfill itself", async (t) => {
  const { client, one } = await start(t);
  const owner = await createSender(t, client);
  const other = await createSender(t, client);
  await client.query(`
    grant usage, create on schema shop to ${owner}, ${other};
    alter table orders owner to ${owner};
    insert into orders select n, n from generate_series(1, 1500) n;
    set session authorization ${owner};
    select posthorn.watch('orders')`);
  const id = await one(`select posthorn.backfill('orders')`);
  t.equal(await one(`select sent_by_workers from posthorn.backfills`), false);
  await client.query('reset session authorization');
  await t.rejects(client.query(`select posthorn.send_backfill(${id})`), {
    code: '42501',
    hint: new RegExp(`set role ${owner}`),
  });
  await client.query(`set session authorization ${other}`);
  t.equal(await one('select count(*)::integer from posthorn.backfills'), 0);
  t.equal(await one(`select posthorn.send_backfill(${id})`), null);
  t.equal(await one(`select posthorn.cancel_backfill(${id})`), false);
  await t.rejects(
    client.query(
      `insert into posthorn.backfill_runs (watch, owner, rel, options, blocks) values (1, '${owner}', 'shop.orders', '{}', 1)`,
    ),
    { code: '42501', message: /row-level security/ },
  );
  // Another role's function on the table, with the name of a watch, is never taken for one.
  await client.query(`reset session authorization; grant trigger on orders to ${other}`);
  await client.query(`set session authorization ${other};
    create function shop.posthorn_watch_1_() returns trigger language plpgsql as $x$-- Posthorn watch: {"when": "true"}
      begin return null; end $x$;
    create function shop.posthorn_watch_77() returns trigger language plpgsql as $x$-- Posthorn watch: {"when": "true"}
      begin return null; end $x$;
    create trigger posthorn_watch_77_insert after insert on orders for each row execute function posthorn_watch_77();
    reset session authorization`);
  await t.rejects(client.query('select posthorn.backfill(77)'), { code: '55000' });
  await client.query(`set session authorization ${owner}`);
  while ((await one(`select posthorn.send_backfill(${id})`)) !== null);
  t.equal(await one('select state from posthorn.backfills'), 'succeeded');
  await client.query('reset session authorization');
  t.equal(await one('select count(*)::integer from posthorn.webhook_payloads'), 1500);
});
