import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import {
  AT_MOST,
  type Attack,
  attempt,
  CHUNKED,
  createClient,
  drip,
  end,
  HUGE,
  LONG_MS,
  NOISE,
  OK,
  on,
  pour,
  reachOf,
  SHORT_MS,
  say,
  startHostile,
} from '../helpers/hostile.ts';

const HINTS = 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n';

const endless: [name: string, attack: Attack][] = [
  ['takes the connection and says nothing', () => {}],
  ['reads the request and says nothing', on(() => {})],
  ['drips its status line', drip('HTTP/1.1 200 ', 'O')],
  ['drips headers', drip(OK, 'a: b\r\n')],
  ['drips a header', drip(`${OK}a: `, 'b')],
  ['drips a body', drip(`${OK}content-length: 1000000\r\n\r\n`, 'x')],
  ['drips a body of no length', drip(`${OK}\r\n`, 'x')],
  ['drips chunks', drip(CHUNKED, '1\r\nx\r\n')],
  ['drips a chunk extension', drip(`${CHUNKED}1;`, 'a')],
  ['drips trailers', drip(`${CHUNKED}0\r\n`, 'a: b\r\n')],
  ['pours out a chunk extension', pour(`${CHUNKED}1;`, HUGE)],
  ['drips 103s', drip('', HINTS)],
  ['keeps the last byte back', say(`${OK}content-length: 3\r\n\r\nab`)],
];

t.test('an attempt takes no longer than its time with a receiver that', async (t) => {
  t.jobs = endless.length;
  for (const [name, attack] of endless) {
    t.test(name, AT_MOST, async (t) => {
      const receiver = await startHostile(t, attack);
      const { verdict } = await attempt(createClient(t, SHORT_MS), `http://${receiver.authority}/`);
      t.match(verdict, { status: 'timeout', errorCode: 'timeout_response', retry: true });
      await receiver.closed();
      t.equal(receiver.sockets.length, 1, 'one request was made, and its connection closed');
    });
  }
});

const ends: [name: string, attack: Attack, errorCode: string][] = [
  ['sends a header of 64 KiB', say(`${OK}a: ${HUGE}\r\n\r\n`), 'too_large'],
  ['sends a header name of 64 KiB', say(`${OK}${HUGE}: a\r\n\r\n`), 'too_large'],
  ['sends 5,000 headers', say(`${OK}${'abc: d\r\n'.repeat(5000)}\r\n`), 'too_large'],
  ['sends a header without an end', pour(`${OK}a: `, HUGE), 'too_large'],
  ['sends headers without an end', pour(OK, 'abc: d\r\n'.repeat(100)), 'too_large'],
  ['sends trailers of 64 KiB', say(`${CHUNKED}0\r\na: ${HUGE}\r\n\r\n`), 'too_large'],
  ['sends a 103 of 64 KiB', say(`HTTP/1.1 103 Early Hints\r\na: ${HUGE}\r\n\r\n`), 'too_large'],
  ['floods 103s', pour('', HINTS.repeat(100)), 'protocol'],
  ['speaks another protocol', say('SSH-2.0-OpenSSH_9.9\r\n'), 'protocol'],
  ['sends a page without headers', end('<html>hello</html>'), 'protocol'],
  ['sends noise', say(NOISE), 'protocol'],
  ['sends a status of 0', say('HTTP/1.1 000 Nothing\r\ncontent-length: 0\r\n\r\n'), 'protocol'],
  ['sends a status of 1000', say('HTTP/1.1 1000 More\r\ncontent-length: 0\r\n\r\n'), 'protocol'],
  ['sends NUL in a header', say(`${OK}a: b\0c\r\ncontent-length: 0\r\n\r\n`), 'protocol'],
  ['sends two lengths', say(`${OK}content-length: 2\r\ncontent-length: 3\r\n\r\nab`), 'protocol'],
  [
    'sends a length and chunks',
    say(`${OK}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`),
    'protocol',
  ],
  ['sends too large a length', say(`${OK}content-length: ${'9'.repeat(30)}\r\n\r\n`), 'protocol'],
  ['sends a negative length', say(`${OK}content-length: -1\r\n\r\n`), 'protocol'],
  ['sends a chunk of no size', say(`${CHUNKED}zz\r\n`), 'protocol'],
  ['sends too large a chunk', say(`${CHUNKED}${'f'.repeat(30)}\r\n`), 'protocol'],
  [
    'changes the protocol unasked',
    say('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    'protocol',
  ],
  ['closes at once', (socket) => socket.destroy(), 'reset'],
  ['resets at once', (socket) => socket.resetAndDestroy(), 'reset'],
  ['closes instead of an answer', end(''), 'reset'],
  ['resets instead of an answer', on((socket) => socket.resetAndDestroy()), 'reset'],
  ['closes within its status line', end('HTTP/1.1 2'), 'reset'],
  ['closes within its headers', end(`${OK}content-le`), 'reset'],
  ['closes within its body', end(`${OK}content-length: 100\r\n\r\nab`), 'reset'],
  ['closes within a chunk', end(`${CHUNKED}64\r\nab`), 'reset'],
  ['closes within its trailers', end(`${CHUNKED}2\r\nab\r\n0\r\na: `), 'reset'],
];

for (const [name, attack, errorCode] of ends) {
  t.test(`an attempt fails, and can be repeated, when a receiver ${name}`, AT_MOST, async (t) => {
    const receiver = await startHostile(t, attack);
    const { verdict } = await attempt(createClient(t, LONG_MS), `http://${receiver.authority}/`);
    t.match(verdict, { status: 'failed', errorCode, retry: true });
    await receiver.closed();
    t.equal(receiver.sockets.length, 1, 'one request was made, and its connection closed');
  });
}

t.test('a receiver that does not read a large request ends its attempt', AT_MOST, async (t) => {
  const receiver = await startHostile(t, (socket) => socket.pause());
  const body = Buffer.alloc(16 * 1024 * 1024, 'x');
  const client = createClient(t, SHORT_MS);
  const { verdict } = await attempt(client, `http://${receiver.authority}/`, body);
  t.match(verdict, { errorCode: 'timeout_response' });
  await receiver.closed();
});

const bodies: [name: string, attack: Attack][] = [
  ['of no length', pour(`${OK}\r\n`, HUGE)],
  ['in chunks', pour(CHUNKED, `10000\r\n${HUGE}\r\n`)],
  ['of a terabyte', pour(`${OK}content-length: 1000000000000\r\n\r\n`, HUGE)],
];

for (const [name, attack] of bodies) {
  t.test(`an endless body ${name} is cut off, and of it a KiB kept`, AT_MOST, async (t) => {
    const receiver = await startHostile(t, attack);
    const client = createClient(t, LONG_MS);
    const { answer, verdict } = await attempt(client, `http://${receiver.authority}/`);
    t.match(verdict, { status: 'success', errorCode: 'answer_cut_off' });
    t.equal(answer?.excerpt, 'x'.repeat(1024));
    await receiver.closed();
  });
}

t.test('the length of what is kept is bounded in each kind of text', AT_MOST, async (t) => {
  const client = createClient(t, LONG_MS);
  const cases: [name: string, body: Buffer, kept: string][] = [
    ['a short one', Buffer.from('no'), 'no'],
    [
      'one that is cut within a character',
      Buffer.from(`x${'é'.repeat(600)}`),
      `x${'é'.repeat(511)}\ufffd`,
    ],
    ['one that is no text', Buffer.alloc(2000, 0xff), '\ufffd'.repeat(1024)],
    ['one of NULs, which Postgres does not take', Buffer.alloc(2000), ''],
    ['one with NULs', Buffer.from('a\0b'), 'ab'],
  ];
  for (const [name, body, kept] of cases) {
    const head = Buffer.from(`HTTP/1.1 500 Oh\r\ncontent-length: ${body.length}\r\n\r\n`);
    const receiver = await startHostile(t, say(Buffer.concat([head, body])));
    const { answer } = await attempt(client, `http://${receiver.authority}/`);
    t.equal(answer?.excerpt, kept, name);
  }
});

t.test('a gzip bomb is not unpacked', AT_MOST, async (t) => {
  const bomb = gzipSync(Buffer.alloc(50_000_000));
  t.ok(bomb.length < 64 * 1024, 'it is small enough to be read to its end');
  const head = `${OK}content-encoding: gzip\r\ncontent-length: ${bomb.length}\r\n\r\n`;
  const receiver = await startHostile(t, say(Buffer.concat([Buffer.from(head), bomb])));
  const client = createClient(t, LONG_MS);
  const { answer, verdict } = await attempt(client, `http://${receiver.authority}/`);
  t.match(verdict, { status: 'success', errorCode: null });
  const packed = bomb.subarray(0, 1024).toString('utf8').replaceAll('\0', '');
  t.equal(answer?.excerpt, packed);
});

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

t.test('answers before the last one are passed over', AT_MOST, async (t) => {
  const hints = 'HTTP/1.1 103 Early Hints\r\nretry-after: 9\r\nlocation: /no\r\n\r\n';
  const receiver = await startHostile(
    t,
    end(`${hints}HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n`),
  );
  const { answer } = await attempt(createClient(t, LONG_MS), `http://${receiver.authority}/`);
  t.match(answer, { statusCode: 503, retryAfter: undefined, location: undefined });
});

t.test('what a receiver says beyond its answer is no answer to the next', AT_MOST, async (t) => {
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

t.test('connections are kept for the webhooks that follow', AT_MOST, async (t) => {
  const receiver = await startHostile(t, (socket) => {
    socket.on('data', () => socket.write(`${OK}content-length: 2\r\n\r\nok`));
  });
  const client = createClient(t, LONG_MS);
  for (let n = 0; n < 5; n++)
    t.match(await attempt(client, `http://${receiver.authority}/`), {
      answer: { statusCode: 200 },
    });
  t.ok(receiver.sockets.length < 5, `${receiver.sockets.length} connections for 5 webhooks`);
});

t.test('a hundred hostile receivers do not hold up a good one', AT_MOST, async (t) => {
  const hostile = await startHostile(t, drip(OK, 'a: b\r\n'));
  const good = await startHostile(t, end(`${OK}content-length: 2\r\n\r\nok`));
  const client = createClient(t, 5_000);
  const held = Array.from({ length: 100 }, () => attempt(client, `http://${hostile.authority}/`));
  let heldEnded = 0;
  for (const one of held) void one.then(() => heldEnded++);
  const { verdict } = await attempt(client, `http://${good.authority}/`);
  t.equal(verdict.status, 'success');
  t.equal(heldEnded, 0, 'it had its answer before any of the others ended');
  await client.close();
  await Promise.all(held);
});

t.test('a stop ends the attempts under way, with its own reason', AT_MOST, async (t) => {
  const client = createClient(t, LONG_MS);
  const stop = new AbortController();
  const reason = new Error('stopping');
  const post = (authority: string) =>
    client.post({
      url: new URL(`http://${authority}/`),
      headers: [],
      body: Buffer.from('{}'),
      signal: stop.signal,
    });
  const begun = Promise.withResolvers<void>();
  const receiver = await startHostile(
    t,
    on(() => begun.resolve()),
  );
  const underWay = [post(receiver.authority), post(receiver.authority)];
  const ended = Promise.all(underWay.map((one) => t.rejects(one, reason)));
  await begun.promise;
  stop.abort(reason);
  await ended;
  await receiver.closed();
  const count = receiver.sockets.length;
  await t.rejects(post(receiver.authority), reason, 'and none begins after it');
  t.equal(receiver.sockets.length, count);
});

t.test('a denied address is not connected to, however its URL spells it', AT_MOST, async (t) => {
  // Listens on all addresses of the machine.
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket.on('error', () => {})));
  server.listen(0);
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const client = createClient(t, LONG_MS, reachOf(''));
  for (const host of [
    '127.0.0.1',
    '127.0.0.1.',
    '2130706433',
    '0x7f.1',
    '0177.0.0.1',
    '127.1',
    '１２７.０.０.１',
    '127.255.255.254',
    '0',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[64:ff9b::127.0.0.1]',
    'localhost',
  ]) {
    for (const scheme of ['http', 'https']) {
      const { verdict } = await attempt(client, `${scheme}://${host}:${port}/`);
      t.match(
        verdict,
        { status: 'blocked', errorCode: 'blocked', retry: false, error: /may not reach\.$/ },
        `${scheme}://${host}`,
      );
    }
  }
  t.equal(sockets.length, 0, 'nothing connected');
  const control = connect(port, '127.0.0.1');
  await once(server, 'connection');
  control.destroy();
  t.equal(sockets.length, 1, 'although one can');
  for (const socket of sockets) socket.destroy();
});

t.test('names of this machine are refused before DNS is asked', AT_MOST, async (t) => {
  const { verdict } = await attempt(createClient(t, LONG_MS, reachOf('')), 'http://localhost/');
  t.equal(
    verdict.error,
    'Not sent: localhost is a loopback address, which deliveries may not reach.',
  );
});
