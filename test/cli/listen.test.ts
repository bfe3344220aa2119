// `posthorn listen` against a real service and a real receiver.

import { Webhook } from 'standardwebhooks';
import t from 'tap';
import { startCli } from '../helpers/cli.ts';
import { subscribeAs } from '../helpers/health.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

async function send({ request }: TestService, type: string): Promise<string> {
  const { json } = await request('POST', '/v1/webhooks', { event_type: type, data: {} });
  return json.webhook_id;
}

const linesOf = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

t.test('listen forwards webhooks, records the answers, and leaves nothing behind', async (t) => {
  let posthorn = await startTestService(t);
  const receiver = await startReceiver(t, (response, { path }) => {
    response.statusCode = path === '/orders' ? 201 : 500;
    response.end('an answer');
  });
  const env = { POSTHORN_URL: posthorn.url };
  const listening = await startCli(
    t,
    [
      'listen',
      '--forward',
      `order.created=${receiver.url}/orders`,
      '--forward',
      `${receiver.url}/other`,
    ],
    env,
  );
  await until('it listens', () => listening.output.stdout.includes('Listening as'));
  const { json: sent } = await posthorn.request('POST', '/v1/webhooks', {
    event_type: 'order.created',
    data: { id: 7 },
  });
  const [request] = await receiver.waitFor(1);
  t.equal(request?.path, '/orders');
  const [, secret = ''] = /whsec_\S+/.exec(listening.output.stdout)?.[0].match(/(.*)/) ?? [];
  t.match(
    new Webhook(secret).verify(request?.body ?? '', request?.headers as Record<string, string>),
    { type: 'order.created', data: { id: 7 } },
    'the libraries verify it',
  );
  const attempt = await until('the attempt is recorded', async () => {
    const { json } = await posthorn.request('GET', `/v1/attempts?webhook_id=${sent.webhook_id}`);
    return json.data[0];
  });
  t.match(attempt, { status: 'success', response_code: 201, attempt_number: 1 });

  await posthorn.request('POST', '/v1/webhooks', { event_type: 'a.b', data: 1 });
  const failed = await until('the failure is recorded', async () => {
    const { json } = await posthorn.request('GET', '/v1/attempts?status=failed');
    return json.data[0];
  });
  t.match(failed, { response_code: 500, error_code: 'http_status' });

  listening.kill('SIGINT');
  t.equal(await listening.exited, 0, listening.output.stderr);
  const { json: left } = await posthorn.request('GET', '/v1/subscriptions');
  t.strictSame(left.data, [], 'its subscription is deleted');

  const kept = await subscribeAs(posthorn, { url: null });
  const again = await startCli(
    t,
    ['listen', '--subscription', String(kept), '--forward', `${receiver.url}/orders`, '--json'],
    env,
  );
  await posthorn.ingest(kept);
  await until('it is told', () => /"result":"delivered"/.test(again.output.stdout));
  again.kill('SIGTERM');
  t.equal(await again.exited, 0);
  t.equal((await posthorn.request('GET', `/v1/subscriptions/${kept}`)).status, 200);

  // The last webhooks again, each to the forward of its type, and the answers are attempts.
  const before = receiver.received.length;
  const [order, , other] = [
    await send(posthorn, 'order.paid'),
    await send(posthorn, 'user.created'),
    await send(posthorn, 'invoice.paid'),
  ];
  const replaying = await startCli(
    t,
    [
      ...['listen', '--replay', '2', '--json'],
      ...['--forward', `order.*=${receiver.url}/orders`],
      ...['--forward', `invoice.paid=${receiver.url}/invoices`],
    ],
    env,
  );
  await until('both are forwarded', () => receiver.received.length >= before + 2);
  // The lines that the child process prints may arrive after the requests that it sends.
  await until('it says so too', () => replaying.output.stdout.split('\n').length > 2);
  t.match(linesOf(replaying.output.stdout).slice(0, 2), [
    { event: 'replaying', webhook_ids: [other, order] },
    { event: 'listening' },
  ]);
  t.strictSame(
    receiver.received.slice(before).map(({ path, headers }) => [path, headers['webhook-id']]),
    [
      ['/orders', order],
      ['/invoices', other],
    ],
    'the oldest first',
  );
  await until('the failure is recorded', async () => {
    const { json } = await posthorn.request('GET', `/v1/attempts?webhook_id=${other}`);
    return json.data[0]?.response_code === 500;
  });
  // A process that is started again is away for a while.
  const { port } = new URL(posthorn.url);
  await posthorn.service.stop();
  await until('it says so', () => /answers at .* Trying again\.\n/.test(replaying.output.stderr));
  posthorn = await startTestService(t, { DATABASE_URL: posthorn.databaseUrl, PORT: port });
  const after = await send(posthorn, 'order.paid');
  await until('it goes on', () =>
    receiver.received.some(({ headers }) => headers['webhook-id'] === after),
  );
  replaying.kill('SIGINT');
  t.equal(await replaying.exited, 0, replaying.output.stderr);

  const pushed = await subscribeAs(posthorn, { url: receiver.url });
  const forward = ['--forward', `${receiver.url}/orders`];
  for (const [code, line, args, more] of [
    [2, /--forward is "nowhere"/, ['--forward', 'nowhere'], {}],
    [2, /--forward/, [], {}],
    [2, /--replay is "101"; give a number from 1 to 100/, ['--replay', '101', ...forward], {}],
    [3, /no subscription 777/, ['--subscription', '777', ...forward], {}],
    [4, /has a URL/, ['--subscription', String(pushed), ...forward], {}],
    [5, /No Posthorn answers/, forward, { POSTHORN_URL: 'http://127.0.0.1:9' }],
    [
      5,
      /No Posthorn answers/,
      ['--subscription', String(kept), ...forward],
      { POSTHORN_URL: 'http://127.0.0.1:9' },
    ],
  ] as const) {
    const refused = await startCli(t, ['listen', ...args], { ...env, ...more });
    t.equal(await refused.exited, code, refused.output.stderr);
    t.match(refused.output.stderr, line);
  }
});
