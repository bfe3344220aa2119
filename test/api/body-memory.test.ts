// Bodies that are still coming take memory of the process, which no client can fill.
import { connect as connectTo, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const MIB = 1024 * 1024;
/** More than a process has memory for, and more than one tenant gets. */
const MOST = 128;
const KEY = 'k'.repeat(40);

/** Sends all but the last byte of a body. Resolves to its socket, or to the status of an answer that came before. */
function sendUnfinished(t: Test, { url }: TestService, path: string, body: string) {
  const { hostname, port } = new URL(url);
  const socket = connectTo(Number(port), hostname);
  t.teardown(() => socket.destroy());
  return new Promise<Socket | number>((resolve) => {
    socket.once('data', (answer) => resolve(Number(String(answer).slice(9, 12))));
    socket.on('error', () => {});
    socket.write(
      `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`,
    );
    socket.write(body.slice(0, -1), () => resolve(socket));
  });
}

/** Begins uploads until one is refused. Returns the uploads that were not, and the status of the refusal. */
async function fill(t: Test, posthorn: TestService, path: string, body: string) {
  const uploads: Socket[] = [];
  let refusal: number | undefined;
  while (refusal === undefined && uploads.length < 2 * MOST) {
    const upload = await sendUnfinished(t, posthorn, path, body);
    if (typeof upload === 'number') refusal = upload;
    else {
      upload.once('data', (answer) => {
        refusal ??= Number(String(answer).slice(9, 12));
      });
      uploads.push(upload);
    }
  }
  return { uploads, refusal };
}

const webhookOf = (bytes: number) =>
  JSON.stringify({ event_type: 'order.created', data: 'x'.repeat(bytes - 100) });

t.test('a tenant that sends many large bodies slowly is refused, and others are not', async (t) => {
  const posthorn = await startTestService(t);
  for (const id of ['greedy', 'modest']) await posthorn.request('POST', '/v1/tenants', { id });
  const { uploads, refusal } = await fill(
    t,
    posthorn,
    '/v1/webhooks?tenant=greedy',
    webhookOf(MIB),
  );
  t.equal(refusal, 429);
  t.ok(uploads.length < MOST, `${uploads.length} bodies`);
  const send = (tenant: string, bytes: number) =>
    posthorn.request('POST', `/v1/webhooks?tenant=${tenant}`, JSON.parse(webhookOf(bytes)));
  t.equal((await send('modest', MIB)).status, 202);
  t.equal((await send('greedy', 1000)).status, 202, 'small ones are accepted all the same');
  t.match(await send('greedy', MIB), {
    status: 429,
    json: { detail: /Too many large bodies/ },
  });
  for (const upload of uploads) upload.destroy();
  await until(
    'its clients are gone, and it may send again',
    async () => (await send('greedy', MIB)).status === 202,
  );
});

t.test('senders without a key take no room from those with one', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: KEY });
  const { uploads, refusal } = await fill(t, posthorn, '/ingest/1', webhookOf(MIB));
  t.equal(refusal, 503);
  t.ok(uploads.length < MOST, `${uploads.length} bodies`);
  t.equal(
    (
      await posthorn.request('POST', '/v1/webhooks', JSON.parse(webhookOf(MIB)), {
        authorization: `Bearer ${KEY}`,
      })
    ).status,
    202,
  );
});

t.test('bodies that are parsed as a whole count with the memory of their values', async (t) => {
  const posthorn = await startTestService(t);
  const { uploads, refusal } = await fill(
    t,
    posthorn,
    '/v1/subscriptions',
    JSON.stringify({ url: 'http://127.0.0.1:9/', metadata: { a: 'x'.repeat(500_000) } }),
  );
  t.equal(refusal, 429);
  t.ok(uploads.length < 20, `${uploads.length} bodies`);
});
