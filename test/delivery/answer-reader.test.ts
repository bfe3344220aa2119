import fc from 'fast-check';
import t from 'tap';
import { HeadTooLargeError, ProtocolError } from '../../src/delivery/answer-head.ts';
import { AnswerReader, InterimAnswersError } from '../../src/delivery/answer-reader.ts';

const OK = 'HTTP/1.1 200 OK\r\n';

/** What a reader makes of an answer that comes in these pieces, and of an end of the connection after it. */
function read(pieces: readonly Buffer[], ends = false) {
  const reader = new AnswerReader();
  reader.begin(undefined);
  let complete = false;
  for (const piece of pieces) {
    complete = reader.push(piece);
    if (complete) break;
  }
  if (!complete && ends) complete = reader.end();
  return complete ? { ...reader.answer, keepMs: reader.keepMs } : null;
}

const readText = (text: string, ends = false) => read([Buffer.from(text, 'latin1')], ends);

t.test('where an answer ends is where RFC 9112 has it end', async (t) => {
  const cases: [what: string, text: string, expected: object | null][] = [
    [
      'after its length',
      `${OK}Content-Length: 2\r\n\r\nok`,
      { statusCode: 200, excerpt: 'ok', keepMs: 4000 },
    ],
    ['not before it', `${OK}content-length: 3\r\n\r\nok`, null],
    ['at once without a body', `${OK}content-length: 0\r\n\r\n`, { excerpt: null, keepMs: 4000 }],
    ['a 204 after its head', 'HTTP/1.1 204 No\r\n\r\n', { statusCode: 204, keepMs: 4000 }],
    [
      'a 304 after its head, whatever length it tells of',
      'HTTP/1.1 304 No\r\ncontent-length: 9\r\n\r\n',
      { statusCode: 304, keepMs: 4000 },
    ],
    [
      'after the last chunk and its trailers',
      `${OK}transfer-encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nx: y\r\n\r\n`,
      { excerpt: 'ok', keepMs: 4000 },
    ],
    [
      'chunked is the last of several codings',
      `${OK}transfer-encoding: gzip\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
      { excerpt: 'ok' },
    ],
    [
      'without trailers not before the empty line',
      `${OK}transfer-encoding: chunked\r\n\r\n0\r\n`,
      null,
    ],
    ['of no length, not before the connection', `${OK}\r\nok`, null],
    [
      'a reason is not needed',
      'HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n',
      { statusCode: 200, keepMs: 4000 },
    ],
    [
      'a value may go on in the next line',
      'HTTP/1.1 503 No\r\nretry-after:\r\n 7\r\ncontent-length: 0\r\n\r\n',
      { statusCode: 503, retryAfter: '7' },
    ],
    [
      'after interim answers, 100 among them',
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nretry-after: 1\r\n\r\n${OK}content-length: 2\r\n\r\nok`,
      { statusCode: 200, retryAfter: undefined, excerpt: 'ok' },
    ],
  ];
  for (const [what, text, expected] of cases) {
    const heard = readText(text);
    if (expected === null) t.equal(heard, null, what);
    else t.match(heard, expected, what);
  }
  t.match(readText(`${OK}\r\nok`, true), { excerpt: 'ok', keepMs: 0 }, 'until the connection ends');
  t.match(readText(`${OK}transfer-encoding: gzip\r\n\r\nok`, true), { excerpt: 'ok', keepMs: 0 });
  t.equal(readText(`${OK}content-length: 3\r\n\r\nok`, true), null, 'cut short is not complete');
  t.equal(readText(`${OK}transfer-encoding: chunked\r\n\r\n2\r\nok\r\n`, true), null);
});

t.test('a connection is kept as long as its receiver keeps it', async (t) => {
  const cases: [head: string, keepMs: number][] = [
    ['HTTP/1.1 200 OK', 4_000],
    ['HTTP/1.1 200 OK\r\nconnection: keep-alive', 4_000],
    ['HTTP/1.1 200 OK\r\nconnection: Close', 0],
    ['HTTP/1.1 200 OK\r\nconnection: upgrade, close', 0],
    ['HTTP/1.1 200 OK\r\nconnection: upgrade\r\nconnection: close', 0],
    ['HTTP/1.0 200 OK', 0],
    ['HTTP/1.0 200 OK\r\nconnection: keep-alive', 4_000],
    ['HTTP/1.1 200 OK\r\nkeep-alive: timeout=5', 3_000],
    ['HTTP/1.1 200 OK\r\nkeep-alive: max=100, timeout=20', 18_000],
    ['HTTP/1.1 200 OK\r\nkeep-alive: timeout=1', 0],
    ['HTTP/1.1 200 OK\r\nkeep-alive: timeout=999999', 60_000],
  ];
  for (const [head, keepMs] of cases)
    t.equal(readText(`${head}\r\ncontent-length: 0\r\n\r\n`)?.keepMs, keepMs, head);
  t.equal(readText(`${OK}content-length: 0\r\n\r\nmore`)?.keepMs, 0, 'more than it was asked for');
  t.equal(readText(`${OK}content-length: 1\r\n\r\nabc`)?.keepMs, 0);
  t.equal(readText('HTTP/1.1 204 No\r\ncontent-length: 1\r\n\r\n')?.keepMs, 0);
});

t.test('what can be read in two ways, or is not HTTP, is refused', async (t) => {
  const chunked = `${OK}transfer-encoding: chunked\r\n\r\n`;
  for (const text of [
    'HTTP/2 200\r\n\r\n',
    'HTTP/1.2 200 OK\r\n\r\n',
    'http/1.1 200 OK\r\n\r\n',
    'HTTP/1.1  200 OK\r\n\r\n',
    'HTTP/1.1 20 OK\r\n\r\n',
    'HTTP/1.1 2000 OK\r\n\r\n',
    'HTTP/1.1 099 OK\r\n\r\n',
    'HTTP/1.1 101 Other\r\n\r\n',
    'HTTP/1.1 200 O\0K\r\n\r\n',
    'HTTP/1.1 200 OK\na: b\r\n\r\n',
    `${OK}a b: c\r\n\r\n`,
    `${OK}a : c\r\n\r\n`,
    `${OK}: c\r\n\r\n`,
    `${OK}abc\r\n\r\n`,
    `${OK}a: b\rc\r\n\r\n`,
    `${OK}a: b\nc: d\r\n\r\n`,
    `${OK}content-length: 1\r\ncontent-length: 1\r\n\r\n`,
    `${OK}content-length: 1, 1\r\n\r\n`,
    `${OK}content-length: +1\r\n\r\n`,
    `${OK}content-length: 0x1\r\n\r\n`,
    `${OK}content-length:\r\n\r\n`,
    `${OK}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n`,
    `${chunked}\r\n`,
    `${chunked}-1\r\n`,
    `${chunked}0x1\r\n`,
    `${chunked}1\nx\r\n0\r\n\r\n`,
    `${chunked}1\r\nxy\r\n`,
    `${chunked}1\r\nx\n0\r\n\r\n`,
    `${chunked}1;a\nx`,
    `${chunked}0\r\na: b\n\r\n`,
    `${chunked}fffffffffffffff\r\n`,
  ])
    t.throws(() => readText(text), { name: 'ProtocolError' }, JSON.stringify(text));
});

const TOKENS = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/).map((name) => `x-${name}`);
const VALUES = fc.stringMatching(/^[\x21-\x7e]{0,20}$/);
const BODY = fc.uint8Array({ maxLength: 3_000 }).map((bytes) => Buffer.from(bytes));

/** An answer as bytes, and its body. */
const ANSWERS = fc
  .record({
    interim: fc.array(fc.constantFrom(100, 102, 103), { maxLength: 3 }),
    status: fc.integer({ min: 200, max: 599 }).filter((status) => status !== 204 && status !== 304),
    headers: fc.array(fc.tuple(TOKENS, VALUES), { maxLength: 8 }),
    body: BODY,
    /** Where the body is split into chunks; undefined: it has a length. */
    cuts: fc.option(fc.array(fc.nat(3_000), { maxLength: 6 }), { nil: undefined }),
    extension: fc.constantFrom('', ';a=b', ' ; a="b;c"'),
    trailers: fc.array(fc.tuple(TOKENS, VALUES), { maxLength: 3 }),
  })
  .map(({ interim, status, headers, body, cuts, extension, trailers }) => {
    const lines = (pairs: [string, string][]) =>
      pairs.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    const before = interim.map((code) => `HTTP/1.1 ${code} x\r\n${lines(headers)}\r\n`).join('');
    const head = `${before}HTTP/1.1 ${status} Any\r\n${lines(headers)}`;
    if (cuts === undefined) {
      const start = Buffer.from(`${head}content-length: ${body.length}\r\n\r\n`, 'latin1');
      return { status, body, bytes: Buffer.concat([start, body]) };
    }
    const places = [...new Set([0, ...cuts.filter((cut) => cut < body.length), body.length])];
    places.sort((a, b) => a - b);
    const chunks = places.slice(1).flatMap((place, index) => {
      const chunk = body.subarray(places[index], place);
      return [
        Buffer.from(`${chunk.length.toString(16)}${extension}\r\n`),
        chunk,
        Buffer.from('\r\n'),
      ];
    });
    const bytes = Buffer.concat([
      Buffer.from(`${head}transfer-encoding: chunked\r\n\r\n`, 'latin1'),
      ...chunks,
      Buffer.from(`0${extension}\r\n${lines(trailers)}\r\n`, 'latin1'),
    ]);
    return { status, body, bytes };
  });

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort(
    (a, b) => a - b,
  );
  return places.slice(1).map((place, index) => bytes.subarray(places[index], place));
}

t.test(
  'an answer is the same in whatever pieces it comes, and no byte of it is missed',
  async () => {
    fc.assert(
      fc.property(
        ANSWERS,
        fc.array(fc.nat(), { maxLength: 12 }),
        ({ status, body, bytes }, cuts) => {
          const heard = read(split(bytes, cuts));
          const excerpt = body.subarray(0, 1024).toString('utf8').replaceAll('\0', '');
          return (
            heard !== null &&
            heard.statusCode === status &&
            (heard.excerpt ?? '') === excerpt &&
            heard.keepMs === 4_000 &&
            read(split(bytes.subarray(0, -1), cuts)) === null
          );
        },
      ),
    );
  },
);

t.test('whatever comes is read or refused', async () => {
  const parts = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc
      .constantFrom(
        OK,
        'transfer-encoding: chunked\r\n',
        'content-length: 5\r\n',
        '\r\n',
        '\r',
        '\n',
        '0\r\n',
        '5\r\nhello\r\n',
        ';',
        'a: b\r\n',
        'HTTP/1.1 103 x\r\n',
      )
      .map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 12 }), fc.boolean(), (pieces, ends) => {
      try {
        read(pieces, ends);
      } catch (error) {
        return (
          error instanceof ProtocolError ||
          error instanceof HeadTooLargeError ||
          error instanceof InterimAnswersError
        );
      }
      return true;
    }),
  );
});
