// A request that is not valid HTTP gets one answer: a problem that says why.
import { lookup } from 'node:dns/promises';
import t from 'tap';
import { listOperations } from '../helpers/operations.ts';
import { sendBytes } from '../helpers/raw.ts';
import { startTestService } from '../helpers/service.ts';

interface Answer {
  readonly status: number;
  readonly json: { type: string; status: number; detail: string } | undefined;
  readonly head: string;
}

/** Reads the answers of a connection. */
function readAnswers(text: string): Answer[] {
  const answers: Answer[] = [];
  for (let rest = text; rest !== ''; ) {
    const end = rest.indexOf('\r\n\r\n') + 4;
    const head = rest.slice(0, end);
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    const body = rest.slice(end, end + length);
    const isProblem = /content-type: application\/problem\+json/i.test(head);
    answers.push({
      status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]),
      json: isProblem ? JSON.parse(body) : undefined,
      head,
    });
    if (end < 4) throw new Error(`Not an answer: ${rest}`);
    rest = rest.slice(end + length);
  }
  return answers;
}

const inUrl = ({ address }: { address: string }) =>
  address.includes(':') ? `[${address}]` : address;
const lines = (...head: string[]) => `${head.join('\r\n')}\r\n\r\n`;
const HOST = 'host: localhost';
const CLOSE = 'connection: close';
const JSON_TYPE = 'content-type: application/json';

/** Requests, the status of their answer, and what it says. */
const REFUSED: [what: string, bytes: string | Buffer, status: number, says: RegExp][] = [
  ['no Host', lines('GET /ping HTTP/1.1', CLOSE), 400, /headers\.host is missing/],
  ['two Hosts', lines('GET /ping HTTP/1.1', HOST, HOST, CLOSE), 400, /host is sent several/],
  ['another Expect', lines('POST /v1/webhooks HTTP/1.1', HOST, 'expect: 200-maybe'), 417, /Expect/],
  [
    'another Expect, and a body',
    `${lines('POST /v1/webhooks HTTP/1.1', HOST, JSON_TYPE, 'content-length: 2', 'expect: x')}{}`,
    417,
    /100-continue/,
  ],
  [
    'a transfer coding that nobody has',
    lines('POST /v1/webhooks HTTP/1.1', HOST, JSON_TYPE, 'transfer-encoding: zip'),
    400,
    /must be chunked or left out/,
  ],
  [
    'a length and chunks',
    lines('POST /ping HTTP/1.1', HOST, 'content-length: 2', 'transfer-encoding: chunked'),
    400,
    /HTTP/,
  ],
  [
    'two lengths',
    lines('POST /ping HTTP/1.1', HOST, 'content-length: 1', 'content-length: 2'),
    400,
    /HTTP/,
  ],
  [
    'the same length twice',
    lines('POST /ping HTTP/1.1', HOST, 'content-length: 1', 'content-length: 1'),
    400,
    /HTTP/,
  ],
  ['a length of words', lines('POST /ping HTTP/1.1', HOST, 'content-length: two'), 400, /HTTP/],
  ['a negative length', lines('POST /ping HTTP/1.1', HOST, 'content-length: -1'), 400, /HTTP/],
  [
    'chunks that are none',
    `${lines('POST /v1/webhooks HTTP/1.1', HOST, JSON_TYPE, 'transfer-encoding: chunked')}zz\r\n`,
    400,
    /HTTP/,
  ],
  [
    'long chunk extensions',
    `${lines('POST /v1/webhooks HTTP/1.1', HOST, JSON_TYPE, 'transfer-encoding: chunked')}1;${'x'.repeat(20_000)}\r\n`,
    431,
    /16KiB/,
  ],
  ['large headers', lines('GET /ping HTTP/1.1', HOST, `x: ${'x'.repeat(17_000)}`), 431, /16KiB/],
  [
    'many headers',
    lines('GET /ping HTTP/1.1', HOST, CLOSE, ...Array.from({ length: 101 }, (_, n) => `x${n}: 1`)),
    431,
    /at most 100/,
  ],
  ['a method that nobody has', lines('FETCH /ping HTTP/1.1', HOST), 400, /HTTP/],
  ['a method of WebDAV', lines('PROPFIND /ping HTTP/1.1', HOST, CLOSE), 404, /no route PROPFIND/],
  ['QUERY', lines('QUERY /v1/webhooks HTTP/1.1', HOST, CLOSE), 405, /supports GET/],
  ['TRACE', lines('TRACE /ping HTTP/1.1', HOST, CLOSE), 405, /supports GET/],
  ['OPTIONS *', lines('OPTIONS * HTTP/1.1', HOST, CLOSE), 405, /supports GET, HEAD, not OPTIONS/],
  [
    'CONNECT',
    lines('CONNECT example.com:443 HTTP/1.1', 'host: example.com:443'),
    405,
    /not a proxy/,
  ],
  [
    'the URL of another host',
    lines('GET http://evil.example/ping HTTP/1.1', HOST, CLOSE),
    400,
    /differs from the host of the URL/,
  ],
  ['a URL of no host', lines('GET http:///ping HTTP/1.1', HOST, CLOSE), 400, /./],
  ['a bad escape', lines('GET /v1/webhooks/%zz HTTP/1.1', HOST, CLOSE), 400, /hex digits/],
  ['NUL in the path', lines('GET /v1/tenants/a%00b HTTP/1.1', HOST, CLOSE), 400, /U\+0000/],
  ['no path', lines('GET  HTTP/1.1', HOST), 400, /HTTP/],
  ['HTTP/2', lines('PRI * HTTP/2.0', '', 'SM'), 400, /HTTP/],
  ['HTTP/9', lines('GET /ping HTTP/9.9', HOST), 400, /HTTP/],
  ['TLS', Buffer.from('16030100c8010000c40303', 'hex'), 400, /HTTP/],
  ['bytes', Buffer.from([0, 1, 2, 255, 13, 10, 13, 10]), 400, /HTTP/],
  ['a header without a name', lines('GET /ping HTTP/1.1', HOST, ': x'), 400, /HTTP/],
  ['a folded header', lines('GET /ping HTTP/1.1', HOST, 'x: a', ' b'), 400, /HTTP/],
  ['a control character', lines('GET /ping HTTP/1.1', HOST, 'x: a\u0000b'), 400, /HTTP/],
];

t.test('every request that is not valid HTTP gets exactly one problem+json', async (t) => {
  // fastify makes a second server where localhost has a second address.
  const addresses = await lookup('localhost', { all: true });
  for (const host of ['127.0.0.1', 'localhost']) {
    const posthorn = await startTestService(t, { HOST: host });
    const { port } = new URL(posthorn.url);
    for (const at of host === 'localhost' ? addresses.map(inUrl) : [host])
      for (const [what, bytes, status, says] of REFUSED) {
        const answers = readAnswers(await sendBytes(`http://${at}:${port}`, bytes));
        t.match(
          answers,
          [{ status, json: { status, type: /^urn:posthorn:problem:/, detail: says } }],
          `${what} at ${at}`,
        );
        t.equal(answers.length, 1, what);
      }
  }
});

t.test('every operation answers every request', async (t) => {
  const posthorn = await startTestService(t);
  for (const { method, path } of await listOperations(posthorn)) {
    const line = `${method} ${path.replaceAll(/\{\w+\}/g, '77001')} HTTP/1.1`;
    for (const [head, status] of [
      [[line, CLOSE], 400],
      [[line, HOST, HOST, CLOSE], 400],
      [[line, HOST, 'expect: 200-maybe'], 417],
      [[line, HOST, 'content-length: 1', 'content-length: 2'], 400],
      [[line, HOST, 'transfer-encoding: zip, gzip'], 400],
    ] as const)
      t.match(
        readAnswers(await sendBytes(posthorn.url, lines(...head))),
        [{ status, json: { status } }],
        head.join(', '),
      );
  }
});

t.test('rare but valid HTTP is accepted', async (t) => {
  const posthorn = await startTestService(t);
  const upgrade = ['connection: upgrade, close', 'upgrade: websocket'];
  for (const [what, bytes, status] of [
    ['HTTP/1.0 without Host', lines('GET /healthz HTTP/1.0'), 200],
    ['an upgrade that is not wanted', lines('GET /healthz HTTP/1.1', HOST, ...upgrade), 200],
    ['its own URL', lines('GET http://LOCALHOST/healthz HTTP/1.1', HOST, CLOSE), 200],
    ['an empty line before', `\r\n${lines('GET /healthz HTTP/1.1', HOST, CLOSE)}`, 200],
    [
      'chunks with trailers',
      `${lines('POST /v1/webhooks HTTP/1.1', HOST, CLOSE, JSON_TYPE, 'transfer-encoding: chunked')}2;a=b\r\n{}\r\n0\r\nx: y\r\n\r\n`,
      400,
    ],
  ] as const)
    t.match(readAnswers(await sendBytes(posthorn.url, bytes)), [{ status }], what);
  const continued = await sendBytes(
    posthorn.url,
    `${lines('POST /v1/webhooks HTTP/1.1', HOST, CLOSE, JSON_TYPE, 'content-length: 2', 'expect: 100-continue')}{}`,
  );
  t.match(readAnswers(continued), [{ status: 100 }, { status: 400, json: {} }]);
});

t.test('bytes that follow a request do not prevent its answer', async (t) => {
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe('https://example.com/');
  const accepted = `${lines(`POST /ingest/${id} HTTP/1.1`, HOST, JSON_TYPE, 'content-length: 2')}{}`;
  const [answer] = readAnswers(await sendBytes(posthorn.url, `${accepted}\u0000 nonsense\r\n\r\n`));
  t.equal(answer?.status, 202);
  const { json } = await posthorn.request('GET', '/v1/webhooks');
  t.equal(json.data.length, 1);
});
