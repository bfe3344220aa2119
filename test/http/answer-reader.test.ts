import fc from 'fast-check';
import t from 'tap';
import { HeadTooLargeError, ProtocolError } from '../../src/http/answer-head.ts';
import { AnswerReader, InterimAnswersError } from '../../src/http/answer-reader.ts';

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
  if (!complete && ends) complete = reader.end('closed');
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
      { excerpt: 'ok', cutOff: null, keepMs: 0 },
    ],
    [
      'after the last chunk',
      `${OK}transfer-encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n`,
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
  for (const text of [
    `${OK}content-length: 3\r\n\r\nok`,
    `${OK}transfer-encoding: chunked\r\n\r\n2\r\nok\r\n`,
  ])
    t.match(readText(text, true), { statusCode: 200, excerpt: 'ok', cutOff: 'closed', keepMs: 0 });
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

t.test(
  'of several lengths the least counts, and of none that is a number what has come',
  async (t) => {
    for (const [lengths, excerpt] of [
      ['content-length: 3\r\ncontent-length: 2', 'ok'],
      ['content-length: 2, 3', 'ok'],
      ['content-length: 2,x', 'ok'],
      ['content-length: two', 'ok...'],
      ['content-length: -1', 'ok...'],
      [`content-length: ${'9'.repeat(30)}`, 'ok...'],
    ])
      t.match(readText(`${OK}${lengths}\r\n\r\nok...`), { excerpt, cutOff: null, keepMs: 0 });
  },
);

t.test('values are read from lines that are not regular', async (t) => {
  for (const lines of [
    'retry-after: 7\n',
    'retry-after : 7\r\n',
    'RETRY-AFTER:7\r\r\n',
    'retry-after:\r\n\t7\r\n',
    'nonsense\r\nretry-after: 7\r\n',
    ': x\r\nretry-after: 7\r\n',
    '\0: x\r\nretry-after: 7\r\nretry-after: 8\r\n',
  ])
    t.match(
      readText(`HTTP/1.1  503 No\r\n${lines}content-length: 2\r\n\r\nok`),
      { statusCode: 503, retryAfter: '7', excerpt: 'ok', keepMs: 0 },
      JSON.stringify(lines),
    );
});

t.test('what has no status is refused', async (t) => {
  for (const text of [
    'HTTP/1.1 20 OK\r\n\r\n',
    'HTTP/1.1 2000 OK\r\n\r\n',
    'HTTP/1.1 099 OK\r\n\r\n',
    'HTTP/1.1\r\n200: OK\r\n\r\n',
    'HTTP\r\n\r\n',
    'HTTX',
    'SSH-2.0',
    '<',
    '\r\n\r\n{',
  ])
    t.throws(() => readText(text), { name: 'ProtocolError' }, JSON.stringify(text));
});

t.test('no head takes long to read, whatever is in it', async (t) => {
  const many = 200_000;
  for (const head of [
    `HTTP/1.1 200 OK\r\n${'a:b\n'.repeat(many / 4)}`,
    `HTTP/1.1 200 OK\r\n${'a\n'.repeat(many / 2)}`,
    `HTTP/1.1 200 OK\r\ncontent-length: 1${' '.repeat(many)}2`,
    `HTTP/1.1 200 OK\r\ncontent-length: ${'1,'.repeat(many / 2)}`,
    `HTTP/1.1 200 OK\r\n${'content-length: 1\r\n'.repeat(many / 20)}`,
    `HTTP/1.1 200 OK\r\nconnection: ${', '.repeat(many / 2)}`,
    `HTTP/1.1 200 OK\r\ntransfer-encoding: ${', '.repeat(many / 2)}`,
    `HTTP/1.1 200 OK\r\nkeep-alive: ${'timeout='.repeat(many / 8)}`,
    `HTTP/1.1 200 OK\r\n${'a: b\r\n '.repeat(many / 8)}`,
    `HTTP/1.1 200 ${'\r'.repeat(many)}`,
    `HTTP/1.1 ${'0'.repeat(many)}200 `,
    `HTTP/1.1${' '.repeat(many)}200 `,
    `${'\r\n'.repeat(many / 2)}HTTP/1.1 200 `,
  ]) {
    const begunAt = performance.now();
    t.ok(readText(`${head}\r\n\r\n`, true), JSON.stringify(head.slice(0, 40)));
    const tookMs = performance.now() - begunAt;
    // It takes 20 ms at most; what takes the square of its length takes minutes.
    t.ok(tookMs < 2_000, `${Math.round(tookMs)} ms`);
  }
});

t.test('a head that comes byte by byte is read once', async (t) => {
  const bytes = Buffer.from(`HTTP/1.1 200 OK\r\n${'a: bcde\r\n'.repeat(20_000)}\r\n`);
  const begunAt = performance.now();
  const pieces = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
  t.match(read(pieces, true), { statusCode: 200 });
  // 60 ms; joining all that came before to each piece takes seconds.
  t.ok(performance.now() - begunAt < 2_000, `${Math.round(performance.now() - begunAt)} ms`);
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
    eol: fc.constantFrom('\r\n', '\n'),
  })
  .map(({ interim, status, headers, body, cuts, extension, trailers, eol }) => {
    const lines = (pairs: [string, string][]) =>
      pairs.map(([name, value]) => `${name}: ${value}${eol}`).join('');
    const before = interim.map((code) => `HTTP/1.1 ${code} x${eol}${lines(headers)}${eol}`);
    const head = `${before.join('')}HTTP/1.1 ${status} Any${eol}${lines(headers)}`;
    const regular = eol === '\r\n' && interim.length === 0;
    if (cuts === undefined) {
      const start = `${head}content-length: ${body.length}${eol}${eol}`;
      return { status, body, regular, bytes: Buffer.concat([Buffer.from(start, 'latin1'), body]) };
    }
    const places = [...new Set([0, ...cuts.filter((cut) => cut < body.length), body.length])];
    places.sort((a, b) => a - b);
    const chunks = places.slice(1).flatMap((place, index) => {
      const chunk = body.subarray(places[index], place);
      return [
        Buffer.from(`${chunk.length.toString(16)}${extension}${eol}`),
        chunk,
        Buffer.from(eol),
      ];
    });
    const bytes = Buffer.concat([
      Buffer.from(`${head}transfer-encoding: chunked${eol}${eol}`, 'latin1'),
      ...chunks,
      Buffer.from(`0${extension}${eol}${lines(trailers)}${eol}`, 'latin1'),
    ]);
    return { status, body, regular: regular && trailers.length === 0, bytes };
  });

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort(
    (a, b) => a - b,
  );
  return places.slice(1).map((place, index) => bytes.subarray(places[index], place));
}

t.test(
  'an answer is the same in whatever pieces it comes, and its status counts without its last byte',
  async () => {
    fc.assert(
      fc.property(
        ANSWERS,
        fc.array(fc.nat(), { maxLength: 12 }),
        ({ status, body, regular, bytes }, cuts) => {
          const heard = read(split(bytes, cuts));
          const excerpt = body.subarray(0, 1024).toString('utf8').replaceAll('\0', '');
          const short = read(split(bytes.subarray(0, -1), cuts), true);
          return (
            heard !== null &&
            heard.statusCode === status &&
            (heard.excerpt ?? '') === excerpt &&
            heard.cutOff === null &&
            heard.keepMs === (regular ? 4_000 : 0) &&
            read(split(bytes.subarray(0, -1), cuts)) === null &&
            short?.statusCode === status &&
            short.cutOff !== null &&
            short.keepMs === 0
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
