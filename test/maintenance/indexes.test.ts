import { pino } from 'pino';
import t from 'tap';
import { createPool } from '../../src/db/pool.ts';
import { lacksIndexes, makeMissingIndexes } from '../../src/maintenance/indexes.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';

const log = pino({ level: 'silent' });

t.test('an index is created on existing days, and then on history as a whole', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 2 });
  t.teardown(() => pool.end());
  t.equal(await lacksIndexes(pool), false, 'a new database lacks none');
  // As a migration makes it, so that the days that are there lack it.
  await client.query(
    `create index later on only posthorn.deliveries (subscription_id, ended_at) where state = 'failed'`,
  );
  t.equal(await lacksIndexes(pool), true);
  const whole = async () => {
    const { rows } = await client.query(
      `select i.indisvalid as valid, count(c.inhrelid)::integer as parts
       from pg_index i left join pg_inherits c on c.inhparent = i.indexrelid
       where i.indexrelid = 'posthorn.later'::regclass group by 1`,
    );
    return rows[0];
  };
  t.strictSame(await whole(), { valid: false, parts: 0 });
  // Something a process left unfinished is made anew.
  const { rows } = await client.query(
    `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'posthorn.deliveries'::regclass order by 1`,
  );
  const [{ name }] = rows;
  await client.query(
    `create index ${name}_${(await client.query(`select md5('later') as hash`)).rows[0].hash} on posthorn.${name} (state)`,
  );
  t.equal(await makeMissingIndexes(pool, () => false, log), 0, 'not while the process stops');
  t.equal(await makeMissingIndexes(pool, () => true, log), rows.length);
  t.strictSame(await whole(), { valid: true, parts: rows.length });
  t.equal(await lacksIndexes(pool), false);
  await client.query(`select posthorn.ensure_partitions(current_date + 200, current_date + 200)`);
  t.strictSame(await whole(), { valid: true, parts: rows.length + 1 });
});
