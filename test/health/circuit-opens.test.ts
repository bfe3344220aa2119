import type { ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import t, { type Test } from 'tap';
import { parseCircuitPolicy } from '../../src/health/circuit-policy.ts';
import { healthOf, subscribeAs } from '../helpers/health.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

/** Three in a row are enough here, and probes are too far off to be seen. */
const THREE = {
  POSTHORN_CIRCUIT: 'failures=3,over=0s,probe=1h,max=1h',
  POSTHORN_RETRY_SCHEDULE: '20ms,20ms,20ms,20ms,20ms,20ms',
};

const answering = (status: number) => (response: ServerResponse) => {
  response.writeHead(status, { location: 'https://example.com/' }).end();
};

const table: [
  name: string,
  opens: boolean,
  answer: (response: ServerResponse) => void,
  timeout?: string,
][] = [
  ['answers 500', true, answering(500)],
  ['answers 502', true, answering(502)],
  ['answers 503', true, answering(503)],
  ['answers 408', true, answering(408)],
  ['answers 429', true, answering(429)],
  // Only here: on a busy machine an answer may take that long to be read.
  ['never answers', true, () => {}, '500ms'],
  ['closes the connection', true, (response) => response.socket?.destroy()],
  ['speaks no HTTP', true, (response) => response.socket?.end('hello\r\n\r\n')],
  ['answers 400', false, answering(400)],
  ['answers 401', false, answering(401)],
  ['answers 403', false, answering(403)],
  ['answers 404', false, answering(404)],
  ['answers 409', false, answering(409)],
  ['answers 422', false, answering(422)],
  ['redirects', false, answering(302)],
];

t.test('the circuit of a receiver whose attempts fail in a row', async (t) => {
  const posthorn = await startTestService(t, THREE);
  t.jobs = table.length;
  for (const [name, opens, answer, timeout = null] of table) {
    t.test(`and ${name}: it ${opens ? 'opens' : 'stays closed'}`, async (t) => {
      const { url } = await startReceiver(t, answer);
      const id = await subscribeAs(posthorn, { url, timeout });
      await posthorn.ingest(id);
      // The last attempt can be recorded before what is known of its receiver.
      const health = await until(opens ? 'it is open' : 'all attempts are made', async () => {
        const now = await healthOf(posthorn, id);
        const isReady = opens ? now.circuit.state !== 'closed' : now.recent.attempts === 7;
        const isKnownToFail = now.failing_since !== null && now.last_error !== null;
        return isReady && isKnownToFail && now;
      });
      t.equal(health.circuit.state, opens ? 'open' : 'closed');
      t.type(health.last_error.error, 'string');
    });
  }
  t.test('refuses connections: it opens', async (t) => {
    const id = await subscribeAs(posthorn, { url: await urlOfNobody(t) });
    await posthorn.ingest(id);
    const health = await until('it is open, and known why', async () => {
      const now = await healthOf(posthorn, id);
      return now.circuit.state === 'open' && now.last_error !== null && now;
    });
    t.equal(health.last_error.error_code, 'refused');
  });
});

/** An address where nothing listens any more. */
async function urlOfNobody(t: Test): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  t.comment(`nobody is at ${port}`);
  return `http://127.0.0.1:${port}`;
}

t.test('the circuit stays closed after a success, an answer, or too short a time', async (t) => {
  const cases: [name: string, circuit: string, statuses: number[]][] = [
    ['a success', 'failures=4,over=0s', [500, 500, 500, 200]],
    ['an answer', 'failures=4,over=0s', [500, 500, 500, 404]],
    ['a burst', 'failures=4,over=10m', [500]],
    ['never', 'off', [500]],
  ];
  t.jobs = cases.length;
  for (const [name, POSTHORN_CIRCUIT, statuses] of cases) {
    await t.test(name, async (t) => {
      const posthorn = await startTestService(t, {
        POSTHORN_CIRCUIT,
        POSTHORN_RETRY_SCHEDULE: 'exponential(attempts=1)',
      });
      const receiver = await startReceiver(t, (response, _request, nth) => {
        response.statusCode = statuses[(nth - 1) % statuses.length] as number;
        response.end();
      });
      const id = await posthorn.subscribe(receiver.url);
      for (let n = 1; n <= 8; n++) {
        await posthorn.ingest(id, { n });
        await receiver.waitFor(n);
        await until('it is recorded', async () => {
          return (await healthOf(posthorn, id)).recent.attempts === n;
        });
        t.equal((await healthOf(posthorn, id)).circuit.state, 'closed');
      }
    });
  }
});

t.test('POSTHORN_CIRCUIT is read, and wrong values are refused with the reason', async (t) => {
  t.strictSame(parseCircuitPolicy(' failures=3 , probe=1s '), {
    failures: 3,
    overMs: 5_000,
    probeMs: 1_000,
    maxMs: 300_000,
  });
  t.equal(parseCircuitPolicy('off'), null);
  for (const [text, message] of [
    ['on', /failures=10,over=5s,probe=5s,max=5m, or off/],
    ['failures=0', /whole number from 1 to 1000/],
    ['over=soon', /not a duration/],
    ['probe=1ms', /probe must be 100ms to 1d/],
    ['probe=10m,max=5m', /max must not be shorter/],
    ['tries=3', /not "tries=3"/],
  ] as const)
    t.throws(() => parseCircuitPolicy(text), { message }, text);
});
