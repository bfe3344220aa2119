// Backups of a database with watches. The programs are Debian's, with the server of their version, because the embedded
// Postgres has none.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { migrate } from '../../src/db/migrate.ts';
import { findDebianPostgres } from '../chaos/lib/debian.ts';
import { Skipped } from '../chaos/lib/scenario.ts';
import { connect } from '../helpers/database.ts';
import { startOwnPostgres } from '../helpers/own-postgres.ts';
import { createSender } from '../helpers/sender.ts';
import { withDatabase } from '../helpers/urls.ts';

t.test('a backup is restored with its watches, and the restore sends nothing', async (t) => {
  let binDir: string;
  try {
    binDir = findDebianPostgres('initdb', 'pg_dump', 'pg_restore', 'psql');
  } catch (error) {
    if (error instanceof Skipped) return t.skip(error.message, () => {});
    throw error;
  }
  const { url } = await startOwnPostgres(t, { binDir });
  await migrate(url);
  const client = await connect(t, url);
  const owner = await createSender(t, client);
  await client.query(`
    create schema shop;
    create table shop.orders (id integer primary key, total numeric);
    create table shop.parts (id integer, part integer) partition by list (part);
    create table shop.parts_1 partition of shop.parts for values in (1);
    grant usage, create on schema shop to ${owner};
    alter table shop.orders owner to ${owner};
    alter table shop.parts owner to ${owner};
    alter table shop.parts_1 owner to ${owner};
    set role ${owner};
    select posthorn.watch('shop.orders', "when" => 'new.total > 1', on_error => 'skip'), posthorn.watch('shop.parts'),
      posthorn.watch('shop.parts', per => 'row', event_type => 'parts.by_row');
    insert into shop.orders select n, n from generate_series(1, 10) n;
    insert into shop.parts values (1, 1);
    reset role`);

  /** Runs a program, and returns what it prints. */
  const run = (program: string, args: readonly string[], input?: Buffer): Buffer => {
    const { status, stdout, stderr, error } = spawnSync(join(binDir, program), args, {
      input,
      maxBuffer: 1 << 28,
    });
    if (status !== 0) throw error ?? new Error(`${program}: ${stderr}`);
    return stdout;
  };
  const RESTORES = {
    'pg_dump and psql': (to: string) =>
      run('psql', ['-v', 'ON_ERROR_STOP=1', '-q', to], run('pg_dump', [url])),
    'pg_dump and pg_restore': (to: string) =>
      run(
        'pg_restore',
        ['--exit-on-error', `--dbname=${to}`],
        run('pg_dump', ['--format=custom', url]),
      ),
  };
  for (const [n, [how, restore]] of Object.entries(RESTORES).entries()) {
    await client.query(`create database restored_${n}`);
    const restoredUrl = withDatabase(url, `restored_${n}`);
    restore(restoredUrl);
    const copy = await connect(t, restoredUrl);
    const sent = async () =>
      (
        await copy.query(
          `select event_type as type, count(*)::integer as n from posthorn.webhook_payloads group by 1 order by 1`,
        )
      ).rows.map(({ type, n }) => `${type} ${n}`);
    t.strictSame(
      await sent(),
      ['orders.inserted 9', 'parts.by_row.inserted 1', 'parts.inserted 1'],
      `${how}: those of before, and no more`,
    );
    const watches = await copy.query(
      'select id, rel::text, owner, on_error, "when", enabled from posthorn.watches order by id',
    );
    const enabled = { owner, enabled: true };
    t.strictSame(watches.rows, [
      { ...enabled, id: 1, rel: 'shop.orders', on_error: 'skip', when: 'new.total > 1' },
      { ...enabled, id: 2, rel: 'shop.parts', on_error: 'raise', when: null },
      { ...enabled, id: 3, rel: 'shop.parts', on_error: 'raise', when: null },
    ]);
    await copy.query(
      `set role ${owner}; insert into shop.orders values (11, 2); insert into shop.parts values (2, 1); reset role`,
    );
    t.strictSame(await sent(), [
      'orders.inserted 10',
      'parts.by_row.inserted 2',
      'parts.inserted 2',
    ]);
    const { rows } = await copy.query(`select posthorn.watch('shop.orders') as id`);
    t.strictSame(rows, [{ id: 4 }], 'a new watch gets an id of its own');
    await copy.query(`drop owned by ${owner} cascade`);
  }
});
