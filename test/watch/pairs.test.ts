// An update gives its triggers a table of new rows and a table of old rows. A watch pairs them by their order, so
// these tests change keys, and rows of many kinds in one statement, and compare with what a row trigger saw.
import { deepStrictEqual as deepEqual } from 'node:assert/strict';
import { array, assert, asyncProperty, constantFrom, integer, record } from 'fast-check';
import t from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { until } from '../helpers/until.ts';

interface Change {
  readonly kind: string;
  readonly old: string | null;
  readonly new: string | null;
}

const TABLES = {
  plain: 'create table items (id integer primary key, part integer not null, n integer)',
  'without a key': 'create table items (id integer, part integer not null, n integer)',
  partitioned: `
    create table items (id integer, part integer not null, n integer, primary key (id, part)) partition by list (part);
    create table items_0 partition of items for values in (0);
    create table items_1 (n integer, dropped text, part integer not null, id integer not null);
    alter table items_1 drop column dropped;
    alter table items attach partition items_1 for values in (1);
    create table items_2 partition of items default`,
} as const;

/** Statements that change many rows at once; $ stands for a number. */
const CHANGES = [
  'update items set n = n + $',
  'update items set id = -id, n = id where n % 3 = $ % 3',
  'update items set id = id + 100 * $ where id in (select id from items order by random() limit 20)',
  'update items set part = (part + $) % 3',
  'update items set part = (id + $) % 3, id = id * 2 + 1000 where id % 2 = 0',
  'update items set id = other.id, n = other.n from items other where other.id = -items.id',
  'delete from items where n % 5 = $ % 5',
  'insert into items select n + 5000, n % 3, n from generate_series(1, $) n',
  `merge into items using (select n, n % 3 as part from generate_series(1, 30) n) s on items.id = s.n
   when matched and items.n % 2 = 0 then update set n = items.n + $
   when matched then delete
   when not matched then insert (id, part, n) values (s.n, s.part, $)`,
] as const;
const UPSERT = `
  insert into items select n, n % 3, $ from generate_series(1, 40) n
  on conflict (id) do update set n = excluded.n + items.n, id = items.id + 10000`;

const partitionOf = (row: string | null) => {
  const { part } = JSON.parse(row ?? '');
  return part === 0 || part === 1 ? part : 'default';
};

for (const [kind, create] of Object.entries(TABLES)) {
  t.test(`each update has its own old row: ${kind}`, async (t) => {
    const client = await connect(t, await createTestDatabase(t));
    await client.query(`
      create schema shop; set search_path = shop;
      ${create};
      create table seen (op text, old jsonb, new jsonb);
      create function note() returns trigger language plpgsql as $$
      begin
        insert into seen values (lower(tg_op), to_jsonb(old), to_jsonb(new));
        return null;
      end $$;
      create trigger note after insert or update or delete on items for each row execute function note();
      select posthorn.watch('items')`);
    const moves = kind === 'partitioned';
    const changes = kind === 'plain' ? [...CHANGES, UPSERT] : CHANGES;
    let compared = 0;
    await assert(
      asyncProperty(
        array(record({ change: constantFrom(...changes), n: integer({ min: 1, max: 40 }) }), {
          minLength: 1,
          maxLength: 6,
        }),
        async (steps) => {
          await client.query(
            'begin; insert into items select n, n % 3, n * 7 % 11 from generate_series(1, 60) n',
          );
          for (const { change, n } of steps) {
            await client.query('savepoint step');
            await client
              .query(change.replaceAll('$', String(n)))
              // A change of keys may meet a key that exists.
              .catch(() => client.query('rollback to step'));
          }
          const { rows } = await client.query<Change>(
            `select split_part(event_type, '.', 2) as kind, data ->> 'old' as old, data ->> 'new' as new
             from (select event_type, convert_from(body, 'UTF8')::jsonb -> 'data' as data from posthorn.webhook_payloads) w
             order by 1, 2, 3`,
          );
          const { rows: expected } = await client.query<Change>(
            `select case op when 'insert' then 'inserted' when 'update' then 'updated' else 'deleted' end as kind,
               old::text, new::text
             from seen order by 1, 2, 3`,
          );
          await client.query('rollback');
          compared += rows.length;
          // Row triggers see a row that moves to another partition as deleted and inserted. As an update, it has both.
          const plain = (all: readonly Change[]) => all.map((row) => JSON.stringify(row));
          const flat = rows.flatMap((row): Change[] => {
            return moves && row.kind === 'updated' && partitionOf(row.old) !== partitionOf(row.new)
              ? [
                  { kind: 'deleted', old: row.old, new: null },
                  { kind: 'inserted', old: null, new: row.new },
                ]
              : [row];
          });
          deepEqual(plain(flat).sort(), plain(expected).sort());
        },
      ),
      { numRuns: 40 },
    );
    t.ok(compared > 2_000, `${compared} webhooks were compared`);
  });
}

t.test('a row that moves to another partition keeps its own old row', async (t) => {
  const client = await connect(t, await createTestDatabase(t));
  await client.query(`create schema shop; set search_path = shop; ${TABLES.partitioned};
    insert into items select n, n % 3, n from generate_series(1, 3000) n;
    select posthorn.watch('items');
    update items set part = (part + n) % 3, n = n + 1, id = id + 10000`);
  const { rows } = await client.query(
    `select count(*)::integer as all,
       count(*) filter (where (data #>> '{new,id}')::integer = (data #>> '{old,id}')::integer + 10000
         and (data #>> '{new,n}')::integer = (data #>> '{old,n}')::integer + 1)::integer as right
     from (select convert_from(body, 'UTF8')::jsonb -> 'data' as data from posthorn.webhook_payloads) w`,
  );
  t.strictSame(rows, [{ all: 3000, right: 3000 }]);
});

t.test(
  'a MERGE that inserts into a partition and then updates sends the updated rows',
  async (t) => {
    const client = await connect(t, await createTestDatabase(t));
    // With the transition tables of Postgres 18.4 alone, each new row is that of the inserted row 4.
    await client.query(`create schema shop; set search_path = shop; ${TABLES.partitioned};
    insert into items select n, n % 3, 0 from generate_series(1, 3) n;
    select posthorn.watch('items', ops => '{update}');
    set enable_hashjoin = off; set enable_mergejoin = off;
    merge into items using (select n from generate_series(6, 1, -1) n) s on items.id = s.n
      when matched then update set n = 5
      when not matched then insert (id, part, n) values (s.n, s.n % 3, 5)`);
    const { rows } = await client.query(
      `select array_agg((convert_from(body, 'UTF8')::jsonb #>> '{data,new,id}')::integer order by id) as ids
     from posthorn.webhook_payloads`,
    );
    t.strictSame(rows, [{ ids: [3, 2, 1] }]);
  },
);

t.test('rows that cannot be paired are an error, never wrong pairs', async (t) => {
  const client = await connect(t, await createTestDatabase(t));
  await client.query(`create schema shop; set search_path = shop; ${TABLES.partitioned};
    insert into items select n, 0, n from generate_series(1, 10) n;
    create function refuse() returns trigger language plpgsql as 'begin return null; end';
    create trigger refuse before insert on items_1 for each row when (new.id = 3) execute function refuse();
    select posthorn.watch('items')`);
  await t.rejects(client.query('update items set part = 1'), {
    code: '55000',
    message: /a trigger kept a row out of its new partition/,
    hint: /per => 'row'/,
  });
  await client.query(
    `select posthorn.unwatch('items'); select posthorn.watch('items', per => 'row')`,
  );
  await client.query('update items set part = 1');
});

t.test('a statement of many rows is paired as fast after a statement of one row', async (t) => {
  const client = await connect(t, await createTestDatabase(t));
  await client.query(`create schema shop; set search_path = shop; ${TABLES.plain};
    insert into items select n, 0, n from generate_series(1, 20000) n;
    select posthorn.watch('items', "when" => 'new.n > 0 and old.n > 0', payload_columns => '{id}');
    set statement_timeout = '120s'`);
  // The plan of the first statement is kept. With a nested loop, the second would compare 400,000,000 pairs.
  await client.query('update items set n = n + 1 where id = 1');
  await client.query('update items set n = n + 1');
  await until('all are sent', async () => {
    const { rows } = await client.query(
      'select count(*)::integer as n from posthorn.webhook_payloads',
    );
    return rows[0].n === 20_001;
  });
});
