import { gzipSync } from 'node:zlib';
import t from 'tap';
import type { CutOff } from '../../src/http/answer-reader.ts';
import {
  AT_MOST,
  type Attack,
  attempt,
  breakOff,
  CHUNKED,
  createClient,
  drip,
  end,
  HUGE,
  LATEST_MS,
  LONG_MS,
  NOISE,
  OK,
  on,
  pour,
  SHORT_MS,
  say,
  startDeaf,
  startHostile,
} from '../helpers/hostile.ts';

/** What people are told has no code of a library in it, and fits a line. */
const SENTENCE = /^(?!.*(UND_ERR|HPE_|ECONN|\n))[A-Z].{20,200}\.$/;
const HINTS = 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n';

const endless: [name: string, attack: Attack][] = [
  ['takes the connection and says nothing', () => {}],
  ['reads the request and says nothing', on(() => {})],
  ['drips its status line', drip('HTTP/1.1 200 ', 'O')],
  ['drips headers', drip(OK, 'a: b\r\n')],
  ['drips a header', drip(`${OK}a: `, 'b')],
  ['drips 103s', drip('', HINTS)],
];

t.test('an attempt keeps its time limit with a receiver that', async (t) => {
  t.jobs = endless.length;
  for (const [name, attack] of endless) {
    t.test(name, AT_MOST, async (t) => {
      const receiver = await startHostile(t, attack);
      const client = createClient(t, SHORT_MS);
      const { verdict, tookMs } = await attempt(client, `http://${receiver.authority}/`);
      t.match(verdict, { status: 'timeout', errorCode: 'timeout_response', retry: true });
      t.match(verdict.error, SENTENCE);
      t.ok(tookMs < LATEST_MS, `${tookMs} ms`);
      await receiver.closed();
      t.equal(receiver.sockets.length, 1, 'one request was made, and its connection closed');
    });
  }
});

const unended: [name: string, attack: Attack, excerpt: RegExp | null][] = [
  ['drips a body', drip(`${OK}content-length: 1000000\r\n\r\n`, 'x'), /^x+$/],
  ['drips a body of no length', drip(`${OK}\r\n`, 'x'), /^x+$/],
  ['drips chunks', drip(CHUNKED, '1\r\nx\r\n'), /^x+$/],
  ['drips a chunk extension', drip(`${CHUNKED}1;`, 'a'), null],
  ['drips trailers', drip(`${CHUNKED}1\r\nx\r\n0\r\n`, 'a: b\r\n'), /^x$/],
  ['keeps the last byte back', say(`${OK}content-length: 3\r\n\r\nab`), /^ab$/],
  ['keeps all of the body back', say(`${OK}content-length: 3\r\n\r\n`), null],
  ['says no length and leaves the connection open', say(`${OK}\r\nok`), /^ok$/],
];

t.test('the status counts if the time ends before the body, with a receiver that', async (t) => {
  t.jobs = unended.length;
  for (const [name, attack, excerpt] of unended) {
    t.test(name, AT_MOST, async (t) => {
      const receiver = await startHostile(t, attack);
      const client = createClient(t, SHORT_MS);
      const { verdict, answer, tookMs } = await attempt(client, `http://${receiver.authority}/`);
      t.match(verdict, { status: 'success', errorCode: 'answer_cut_off', retry: false });
      t.match(verdict.error, SENTENCE);
      t.match(answer, { statusCode: 200, excerpt, cutOff: 'time' });
      t.ok(tookMs < LATEST_MS, `${tookMs} ms`);
      await receiver.closed();
      t.equal(receiver.sockets.length, 1, 'one request was made, and its connection closed');
    });
  }
});

const cut: [name: string, attack: Attack, cutOff: CutOff][] = [
  ['closes within its body', end(`${OK}content-length: 100\r\n\r\nab`), 'closed'],
  ['resets within its body', breakOff(`${OK}content-length: 100\r\n\r\nab`), 'broken'],
  ['resets a body of no length', breakOff(`${OK}\r\nab`), 'broken'],
  ['closes within a chunk', end(`${CHUNKED}64\r\nab`), 'closed'],
  ['closes without its last chunk', end(`${CHUNKED}2\r\nab\r\n`), 'closed'],
  ['closes within its trailers', end(`${CHUNKED}2\r\nab\r\n0\r\na: `), 'closed'],
  ['sends trailers without an end', pour(`${CHUNKED}2\r\nab\r\n0\r\na: `, HUGE), 'too long'],
  ['sends a trailer that is none', say(`${CHUNKED}2\r\nab\r\n0\r\nabc\r\n\r\n`), 'malformed'],
  ['sends a chunk of no size', say(`${CHUNKED}2\r\nab\r\nzz\r\n`), 'malformed'],
  ['sends too large a chunk', say(`${CHUNKED}2\r\nab\r\n${'f'.repeat(30)}\r\n`), 'malformed'],
  ['closes within its headers', end(`${OK}content-le`), 'closed in head'],
];

for (const [name, attack, cutOff] of cut) {
  t.test(`a status counts, and the rest is noted, when a receiver ${name}`, AT_MOST, async (t) => {
    const receiver = await startHostile(t, attack);
    const client = createClient(t, LONG_MS);
    const { verdict, answer, tookMs } = await attempt(client, `http://${receiver.authority}/`);
    t.match(verdict, { status: 'success', errorCode: 'answer_cut_off', retry: false });
    t.match(verdict.error, SENTENCE);
    t.match(answer, { cutOff, excerpt: cutOff === 'closed in head' ? null : 'ab' });
    t.ok(tookMs < LONG_MS / 3, 'long before its time is over');
    await receiver.closed();
    t.equal(receiver.sockets.length, 1, 'one request was made, and its connection closed');
  });
}

t.test('an attempt that is stopped has the status that had arrived', AT_MOST, async (t) => {
  const stop = new AbortController();
  const headCame = Promise.withResolvers<void>();
  const receiver = await startHostile(t, say(`${OK}content-length: 3\r\n\r\nab`));
  const client = createClient(t, LONG_MS);
  const posted = client.post({
    url: new URL(`http://${receiver.authority}/`),
    headers: [],
    body: Buffer.from('{}'),
    signal: stop.signal,
    onHead: () => headCame.resolve(),
  });
  await headCame.promise;
  stop.abort();
  t.match(await posted, { statusCode: 200, excerpt: 'ab', cutOff: 'stopped' });
  await receiver.closed();
});

const MANY = 'a: b\r\n'.repeat(50_000);
const ends: [name: string, attack: Attack, errorCode: string][] = [
  ['sends headers of 300 KB', say(`${OK}${MANY}content-length: 0\r\n\r\n`), 'too_large'],
  ['sends a header without an end', pour(`${OK}a: `, HUGE), 'too_large'],
  ['sends headers without an end', pour(OK, 'abc: d\r\n'.repeat(100)), 'too_large'],
  ['sends a 103 of 300 KB', say(`HTTP/1.1 103 Early Hints\r\n${MANY}\r\n`), 'too_large'],
  ['sends empty lines without an end', pour('\r\n', '\r\n'.repeat(100)), 'too_large'],
  ['floods 103s', pour('', HINTS.repeat(100)), 'protocol'],
  ['speaks another protocol', say('SSH-2.0-OpenSSH_9.9\r\n'), 'protocol'],
  ['speaks HTTP/0.9', say('hello, world\n'), 'protocol'],
  ['sends a page without headers', end('<html>hello</html>'), 'protocol'],
  ['sends noise', say(NOISE), 'protocol'],
  ['sends a status of 0', say('HTTP/1.1 000 Nothing\r\ncontent-length: 0\r\n\r\n'), 'protocol'],
  ['sends a status of 1000', say('HTTP/1.1 1000 More\r\ncontent-length: 0\r\n\r\n'), 'protocol'],
  ['closes at once', (socket) => socket.destroy(), 'reset'],
  ['resets at once', (socket) => socket.resetAndDestroy(), 'reset'],
  ['closes instead of an answer', end(''), 'reset'],
  ['resets instead of an answer', on((socket) => socket.resetAndDestroy()), 'reset'],
  ['closes within its status line', end('HTTP/1.1 2'), 'reset'],
  ['closes after a 103', end(HINTS), 'reset'],
  ['closes within a 103', end('HTTP/1.1 103 Early Hints\r\nlink'), 'reset'],
  ['resets within its headers', breakOff(`${OK}content-le`), 'reset'],
];

for (const [name, attack, errorCode] of ends) {
  t.test(`an attempt fails, and can be repeated, when a receiver ${name}`, AT_MOST, async (t) => {
    const receiver = await startHostile(t, attack);
    const client = createClient(t, LONG_MS);
    const { verdict, tookMs } = await attempt(client, `http://${receiver.authority}/`);
    t.match(verdict, { status: 'failed', errorCode, retry: true });
    t.match(verdict.error, SENTENCE);
    t.ok(tookMs < LONG_MS / 3, 'long before its time is over');
    await receiver.closed();
    t.equal(receiver.sockets.length, 1, 'one request was made, and its connection closed');
  });
}

t.test('a receiver that never accepts ends its attempt', AT_MOST, async (t) => {
  const port = await startDeaf(t);
  const client = createClient(t, SHORT_MS);
  const { verdict, tookMs } = await attempt(client, `http://127.0.0.1:${port}/`);
  t.match(verdict, { status: 'timeout', errorCode: 'timeout_connect', retry: true });
  t.match(verdict.error, SENTENCE);
  t.ok(tookMs < LATEST_MS, `${tookMs} ms`);
});

t.test('a receiver that does not read a large request ends its attempt', AT_MOST, async (t) => {
  const receiver = await startHostile(t, (socket) => socket.pause());
  const body = Buffer.alloc(16 * 1024 * 1024, 'x');
  const client = createClient(t, SHORT_MS);
  const { verdict } = await attempt(client, `http://${receiver.authority}/`, body);
  t.match(verdict, { errorCode: 'timeout_response' });
  await receiver.closed();
});

const X = 'x'.repeat(1024);
const bodies: [name: string, attack: Attack, kept: string | null][] = [
  ['of no length', pour(`${OK}\r\n`, HUGE), X],
  ['in chunks', pour(CHUNKED, `10000\r\n${HUGE}\r\n`), X],
  ['of a terabyte', pour(`${OK}content-length: 1000000000000\r\n\r\n`, HUGE), X],
  ['in a chunk whose head has no end', pour(`${CHUNKED}1;`, HUGE), null],
];

for (const [name, attack, kept] of bodies) {
  t.test(`an endless body ${name} is cut off, and of it a KiB at most kept`, AT_MOST, async (t) => {
    const receiver = await startHostile(t, attack);
    const client = createClient(t, LONG_MS);
    const { answer, verdict } = await attempt(client, `http://${receiver.authority}/`);
    t.match(verdict, { status: 'success', errorCode: 'answer_cut_off' });
    t.equal(answer?.excerpt, kept);
    await receiver.closed();
  });
}

t.test('the length of every stored text is limited', AT_MOST, async (t) => {
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

t.test('a gzip bomb is not decompressed', AT_MOST, async (t) => {
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

t.test('a hundred hostile receivers do not delay a good one', AT_MOST, async (t) => {
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

t.test('a stop ends the attempts in flight, with its own reason', AT_MOST, async (t) => {
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
