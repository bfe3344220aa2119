import t from 'tap';
import { watchAttempts } from '../helpers/attempts.ts';
import {
  AT_MOST,
  type Attack,
  attempt,
  createClient,
  end,
  HUGE,
  LONG_MS,
  NOISE,
  OK,
  pour,
  reachOf,
  say,
  startHostile,
} from '../helpers/hostile.ts';

t.test('a redirect is not followed', AT_MOST, async (t) => {
  const target = await startHostile(t, end(`${OK}content-length: 0\r\n\r\n`));
  const client = createClient(t, LONG_MS);
  for (const status of [301, 302, 303, 307, 308]) {
    const location = `http://${target.authority}/elsewhere`;
    const receiver = await startHostile(
      t,
      end(`HTTP/1.1 ${status} Over There\r\nlocation: ${location}\r\ncontent-length: 0\r\n\r\n`),
    );
    const { verdict } = await attempt(client, `http://${receiver.authority}/`);
    t.match(verdict, { status: 'failed', errorCode: 'redirect', error: new RegExp(location) });
    t.equal(receiver.sockets.length, 1);
  }
  t.equal(target.sockets.length, 0);
});

t.test('a redirect is not followed to itself or to a private address', AT_MOST, async (t) => {
  const inside = await startHostile(t, end(OK), { host: '127.0.0.3' });
  const attempts = watchAttempts(t);
  const client = createClient(t, LONG_MS, reachOf('127.0.0.1'));
  for (const location of [
    '/',
    '',
    `http://${inside.authority}/`,
    `//2130706435:${inside.port}/`,
    'http://169.254.169.254/latest/meta-data/',
    'http://localhost/',
    'file:///etc/passwd',
  ]) {
    const receiver = await startHostile(
      t,
      end(`HTTP/1.1 307 Over There\r\nlocation: ${location}\r\ncontent-length: 0\r\n\r\n`),
    );
    const { verdict } = await attempt(client, `http://${receiver.authority}/`);
    t.match(verdict, { status: 'failed', errorCode: 'redirect', retry: true }, location);
    t.equal(receiver.sockets.length, 1);
  }
  t.strictSame([...new Set(attempts.addresses)], ['127.0.0.1']);
  t.equal(inside.sockets.length, 0);
});

t.test('interim answers (1xx) are skipped', AT_MOST, async (t) => {
  const hints = 'HTTP/1.1 103 Early Hints\r\nretry-after: 9\r\nlocation: /no\r\n\r\n';
  const receiver = await startHostile(
    t,
    end(`${hints}HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n`),
  );
  const { answer } = await attempt(createClient(t, LONG_MS), `http://${receiver.authority}/`);
  t.match(answer, { statusCode: 503, retryAfter: undefined, location: undefined });
});

const LARGE = Buffer.alloc(16 * 1024 * 1024, 'x');
const SAID = `${OK}content-length: 2\r\n\r\nok`;
const early: [name: string, attack: Attack][] = [
  ['at once', (socket) => socket.write(SAID)],
  ['at once, and closes', (socket) => socket.end(SAID)],
  ['and reads nothing', (socket) => socket.pause().write(SAID)],
];

for (const [name, attack] of early) {
  t.test(`an answer before the request is read counts: ${name}`, AT_MOST, async (t) => {
    const receiver = await startHostile(t, attack);
    for (const body of [Buffer.from('{}'), LARGE]) {
      const client = createClient(t, LONG_MS);
      const outcome = await attempt(client, `http://${receiver.authority}/`, body);
      t.match(outcome, { answer: { statusCode: 200, excerpt: 'ok' } });
      t.ok(outcome.tookMs < LONG_MS / 3);
      await client.close();
    }
    await receiver.closed();
  });
}

const bodiless: [name: string, rest: string][] = [
  ['of a length', 'content-length: 5\r\n\r\nhello'],
  ['of no length', '\r\nhello'],
  ['in chunks', 'transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
];

for (const [name, rest] of bodiless) {
  t.test(`a 204 has no body, not even one ${name}`, AT_MOST, async (t) => {
    const receiver = await startHostile(t, say(`HTTP/1.1 204 No Content\r\n${rest}`));
    const client = createClient(t, LONG_MS);
    for (const nth of [1, 2]) {
      const outcome = await attempt(client, `http://${receiver.authority}/`);
      t.match(outcome, { answer: { statusCode: 204, excerpt: null, cutOff: null } });
      t.equal(receiver.sockets.length, nth, 'what came instead is no answer to the next');
    }
  });
}

t.test('a 204 with an endless body ends', AT_MOST, async (t) => {
  const receiver = await startHostile(t, pour('HTTP/1.1 204 No Content\r\n\r\n', HUGE));
  const outcome = await attempt(createClient(t, LONG_MS), `http://${receiver.authority}/`);
  t.match(outcome, { answer: { statusCode: 204 }, verdict: { status: 'success' } });
  await receiver.closed();
});

t.test('bytes after an answer are not the answer to the next request', AT_MOST, async (t) => {
  const answer = (status: number) => `HTTP/1.1 ${status} x\r\ncontent-length: 2\r\n\r\nok`;
  for (const extra of ['x', answer(201), answer(500), NOISE.toString('latin1')]) {
    // The first connection says more than it was asked; the ones after it behave.
    const receiver = await startHostile(t, (socket, nth) => {
      socket.on('data', () => socket.write(nth === 1 ? answer(200) + extra : answer(204 + nth)));
    });
    const client = createClient(t, LONG_MS);
    const first = await attempt(client, `http://${receiver.authority}/1`);
    t.match(first, { answer: { statusCode: 200, excerpt: 'ok' }, verdict: { status: 'success' } });
    const second = await attempt(client, `http://${receiver.authority}/2`);
    t.match(second, { answer: { statusCode: 206 } }, 'it is asked on a new connection');
  }
});

t.test('a header with a line break is not sent', AT_MOST, async (t) => {
  const receiver = await startHostile(t, end(OK));
  const client = createClient(t, LONG_MS);
  for (const header of [
    ['x-a', 'b\r\nx-c: d'],
    ['x-a', 'b\nx-c: d'],
    ['x-a', 'b\0'],
    ['x-a', 'ł'],
    ['x-a: b\r\nx-c', 'd'],
    ['x a', 'b'],
    ['', 'b'],
  ]) {
    const posted = client.post({
      url: new URL(`http://${receiver.authority}/`),
      headers: header,
      body: Buffer.from('{}'),
      signal: new AbortController().signal,
    });
    await t.rejects(posted, /header/, JSON.stringify(header));
  }
  t.equal(receiver.sockets.length, 0);
});
