import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startProgram } from '../helpers/cli.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** Starts a worker that writes down which modules it loads, until the receiver has got a webhook that waited. */
async function startWorker(t: Test) {
  const databaseUrl = await createTestDatabase(t);
  const loadedTo = join(t.testdir(), 'loaded');
  const readLoaded = () => readFileSync(loadedTo, 'utf8').split('\n');
  let loadedBefore: string[] = [];
  const receiver = await startReceiver(t, (response) => {
    loadedBefore = readLoaded();
    response.end();
  });
  const client = await connect(t, databaseUrl);
  await client.query(
    `with made as (insert into posthorn.subscriptions (url) values ($1) returning id)
    select posthorn.send('a.b', '{}', subscription_id => id) from made`,
    [receiver.url],
  );
  const hook = join(ROOT, 'test', 'helpers', 'loaded-modules.ts');
  const worker = startProgram(
    t,
    [process.execPath, '--import', hook, join(ROOT, 'src', 'main.ts'), 'start'],
    { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'worker', LOADED_TO: loadedTo },
    t.testdirName,
  );
  await receiver.waitFor(1);
  return { url: await worker.url(), loadedBefore, readLoaded };
}

t.test('a worker sends before it loads its API, and never loads routes of others', async (t) => {
  const { url, loadedBefore, readLoaded } = await startWorker(t);
  const namesOf = (loaded: string[]) => loaded.join('\n');
  t.match(namesOf(loadedBefore), 'src/sending/courier.ts');
  for (const name of ['node_modules/fastify/', 'node_modules/typebox/', 'node_modules/kysely/'])
    t.notMatch(namesOf(loadedBefore), name);
  const loaded = namesOf(readLoaded());
  t.match(loaded, 'src/api/routes/service.ts');
  t.notMatch(loaded, 'src/api/routes/webhooks.ts');
  for (const name of [
    '@fastify/swagger',
    '@fastify/static',
    'node_modules/yaml/',
    'node_modules/kysely/',
  ])
    t.notMatch(loaded, name);

  const ready = await fetch(`${url}/readyz`);
  t.equal(ready.status, 200);
  const missing = await fetch(`${url}/api/docs/`);
  t.equal(missing.status, 404);
  t.match(await missing.json(), {
    detail:
      'There is no route GET /api/docs/; a worker has only /ping, /healthz, /readyz and /metrics.',
  });
});
