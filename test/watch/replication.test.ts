// The target of logical replication, whose worker writes with session_replication_role = replica.
import t from 'tap';
import { migrate } from '../../src/db/migrate.ts';
import { connect } from '../helpers/database.ts';
import { startOwnPostgres } from '../helpers/own-postgres.ts';
import { until } from '../helpers/until.ts';
import { withDatabase } from '../helpers/urls.ts';

const NAME = 'a table that logical replication writes is watched per row, where it is asked for';
t.test(NAME, async (t) => {
  const { url, port } = await startOwnPostgres(t, { settings: { wal_level: 'logical' } });
  const publisher = await connect(t, url);
  await publisher.query('create database target');
  const targetUrl = withDatabase(url, 'target');
  await migrate(targetUrl);
  const target = await connect(t, targetUrl);
  const orders = 'create table public.orders (id integer primary key, total numeric)';
  await publisher.query(`${orders};
    insert into public.orders values (1, 1);
    create publication shop for table public.orders`);
  await publisher.query(`select pg_create_logical_replication_slot('shop', 'pgoutput')`);
  await target.query(`${orders};
    select posthorn.watch('public.orders', event_type => 'quiet', per => 'row'),
      posthorn.watch('public.orders', event_type => 'rows', per => 'row'),
      posthorn.watch('public.orders', event_type => 'statements');
    alter table public.orders
      enable always trigger posthorn_watch_2_insert, enable always trigger posthorn_watch_2_update,
      enable always trigger posthorn_watch_2_delete,
      enable always trigger posthorn_watch_3_insert, enable always trigger posthorn_watch_3_update,
      enable always trigger posthorn_watch_3_delete;
    create subscription shop connection 'host=127.0.0.1 port=${port} user=posthorn dbname=posthorn'
      publication shop with (create_slot = false, slot_name = 'shop')`);
  // Otherwise its worker keeps the slot, and the server its folder.
  t.teardown(() => target.query('alter subscription shop disable'));
  /** Returns what was sent since the last call, in its order. */
  const sent = async () => {
    const { rows } = await target.query<{ type: string; data: object }>(
      `with gone as (delete from posthorn.webhook_payloads returning *)
       select event_type as type, convert_from(body, 'UTF8')::jsonb -> 'data' as data from gone order by id`,
    );
    return rows.map(({ type, data }) => `${type} ${JSON.stringify(data)}`);
  };

  await until('the first copy is done', async () => {
    const { rows } = await target.query('select srsubstate as state from pg_subscription_rel');
    return rows.length === 1 && rows[0].state === 'r';
  });
  t.strictSame(
    await sent(),
    ['rows.inserted {"new":{"id":1,"total":1}}', 'statements.inserted {"new":{"id":1,"total":1}}'],
    'the first copy is a COPY, and runs all triggers that are always enabled',
  );

  await publisher.query('insert into public.orders values (2, 5), (3, 6)');
  await publisher.query('update public.orders set total = total + 1 where id > 1');
  await publisher.query('delete from public.orders where id = 3');
  await until('all is applied', async () => {
    const { rows } = await target.query(
      'select count(*)::integer as n from posthorn.webhook_payloads',
    );
    return rows[0].n >= 5;
  });
  t.strictSame(
    await sent(),
    [
      'rows.inserted {"new":{"id":2,"total":5}}',
      'rows.inserted {"new":{"id":3,"total":6}}',
      'rows.updated {"new":{"id":2,"total":6},"old":{"id":2,"total":5},"changed":["total"]}',
      'rows.updated {"new":{"id":3,"total":7},"old":{"id":3,"total":6},"changed":["total"]}',
      'rows.deleted {"old":{"id":3,"total":7}}',
    ],
    'the watch per row whose triggers are always enabled has sent, and no other',
  );
  await target.query('insert into public.orders values (9, 9)');
  t.strictSame(
    (await sent()).sort(),
    ['quiet', 'rows', 'statements'].map((type) => `${type}.inserted {"new":{"id":9,"total":9}}`),
    'an ordinary session is seen by all',
  );
});
