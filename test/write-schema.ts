// `npm run schema`: writes schema/schema.sql anew, from a database that was just migrated.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../src/db/embedded/postgres.ts';
import { migrate } from '../src/db/migrate.ts';
import { dumpSchema, SCHEMA_PATH } from './helpers/schema-dump.ts';

const dir = mkdtempSync(join(tmpdir(), 'posthorn-schema-'));
// As root, Postgres runs as somebody else, who has to get through.
chmodSync(dir, 0o711);
const postgres = await startEmbeddedPostgres(join(dir, 'data'));
try {
  await migrate(postgres.url);
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  writeFileSync(SCHEMA_PATH, await dumpSchema(client));
  await client.end();
} finally {
  await postgres.stop();
  rmSync(dir, { recursive: true, force: true });
}
