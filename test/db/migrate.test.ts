import t from 'tap';
import { migrate, migrationStatus } from '../../src/db/migrate.ts';
import { startCli } from '../helpers/cli.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';

t.test('several processes may migrate an empty database at once', async (t) => {
  const databaseUrl = await createTestDatabase(t, { migrated: false });
  const status = await migrationStatus(databaseUrl);
  t.ok(status.length >= 2);
  t.ok(status.every(({ appliedAt }) => appliedAt === null));
  const applied = await Promise.all([1, 2, 3, 4].map(() => migrate(databaseUrl)));
  t.strictSame(
    applied
      .flat()
      .map(({ name }) => name)
      .sort(),
    status.map(({ name }) => name),
    'each migration was applied by one of them, once',
  );
  t.ok((await migrationStatus(databaseUrl)).every(({ appliedAt }) => appliedAt instanceof Date));
  t.strictSame(await migrate(databaseUrl), []);
});

t.test('posthorn migrate applies, and --status lists', async (t) => {
  const databaseUrl = await createTestDatabase(t, { migrated: false });
  const run = async (...args: string[]) => {
    const cli = await startCli(t, ['migrate', ...args], { DATABASE_URL: databaseUrl });
    t.equal(await cli.exited, 0, cli.output.stderr);
    return cli.output.stdout;
  };
  t.match(await run('--status'), /0001_first\.sql +not applied/);
  t.match(await run(), /applied 0001_first\.sql\napplied 0002_/);
  t.match(await run('--status'), /0001_first\.sql +\d{4}-\d\d-\d\dT/);
  t.match(await run(), /up to date/);
});

t.test('a newer schema than it knows stops the service', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  await client.query(
    `insert into posthorn.migrations (version, name) values (9999, '9999_future.sql')`,
  );
  const cli = await startCli(t, ['start'], { DATABASE_URL: databaseUrl });
  t.equal(await cli.exited, 1);
  t.match(
    cli.output.stderr,
    /^posthorn: The database "\w+" .* has schema 9999, but this Posthorn knows only \d+\. .*\n$/,
  );
});
