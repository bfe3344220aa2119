import { spawn } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { createTestDatabase } from '../helpers/database.ts';
import { until } from '../helpers/until.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

t.test('a service under node --watch judges event types', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  // As npm run dev starts it: node --watch makes each thread send messages of its own.
  const child = spawn(process.execPath, ['--watch', MAIN, 'start'], {
    cwd: t.testdir(),
    env: { PATH: process.env.PATH, PORT: '0', DATABASE_URL: databaseUrl },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const closed = new Promise((resolve) => child.once('close', resolve));
  t.teardown(async () => {
    child.kill('SIGTERM');
    await closed;
  });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk;
  });
  const url = await until('it listens', () => /"url":"([^"]+)"/.exec(log)?.[1]);
  const post = async (path: string, body: object) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) });
    return { status: answer.status, text: await answer.text() };
  };
  const schema = { type: 'object', required: ['id'] };
  const right = { name: 'order.paid', schema, example: { id: 7 } };
  t.match(await post('/v1/event-types', right), { status: 201 });
  const wrong = { ...right, name: 'order.lost', schema: { type: 'no type' } };
  t.match(await post('/v1/event-types', wrong), { status: 400, text: /schema/ });
  const openapi = {
    openapi: '3.1.0',
    webhooks: {
      'order.held': { post: { requestBody: { content: { 'application/json': { schema } } } } },
    },
  };
  t.match(await post('/v1/event-types/import', openapi), { status: 200, text: /order\.held/ });
});
