import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import t from 'tap';
import { answerClientError } from '../../src/api/http-server.ts';
import { startTestService } from '../helpers/service.ts';

/** Sends bytes and returns the answer, up to the connection's end. */
async function exchange(port: number, request: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(request);
  return await text(socket);
}

/** Throws unless it is the answer that a problem is. */
function readProblem(answer: string): { statusLine: string; problem: { status: number } } {
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  if (!/content-type: application\/problem\+json/i.test(head)) throw new Error(answer);
  return { statusLine: head.split('\r\n')[0] as string, problem: JSON.parse(body) };
}

t.test('an unknown route, and a request that is not HTTP, get a problem+json', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: 'an admin key of some length' });
  const port = Number(new URL(posthorn.url).port);
  const cases: [what: string, request: string, status: number, says: RegExp][] = [
    ['an escape that is cut off', 'GET /v1/webhooks/%f', 400, /two hex digits/],
    ['an escape that is no UTF-8', 'GET /v1/webhooks/%ff', 400, /UTF-8/],
    ['a long part', `GET /v1/webhooks/${'7'.repeat(101)}`, 414, /longer than any id/],
    ['a long header', `GET /ping HTTP/1.1\r\nx: ${'x'.repeat(17_000)}`, 431, /16KiB/],
    ['no method', 'FETCH /ping', 400, /not valid HTTP\/1\.1/],
    ['two lengths', 'POST /ping HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2', 400, /HTTP/],
  ];
  for (const [what, request, status, says] of cases) {
    const line = request.includes('HTTP/1.1') ? request : `${request} HTTP/1.1`;
    const { statusLine, problem } = readProblem(
      await exchange(port, `${line}\r\nhost: a\r\nconnection: close\r\n\r\n`),
    );
    t.match(statusLine, `HTTP/1.1 ${status} `, what);
    t.match(problem, { status, detail: says, type: /^urn:posthorn:problem:/ }, what);
  }
});

t.test('a request that does not arrive in time gets a problem+json', async (t) => {
  // As Node reports it, without its minute of waiting.
  const late = Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
  const server = createServer((socket) => answerClientError(undefined, late as never, socket));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as { port: number };
  t.match(readProblem(await exchange(port, 'POST')), {
    statusLine: 'HTTP/1.1 408 Request Timeout',
    problem: { status: 408 },
  });
});

t.test('a 405 names the methods of a known path', async (t) => {
  const key = 'an admin key of some length';
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: key });
  const cases: [method: string, path: string, allow: string][] = [
    ['GET', '/subscriptions/createsubscription', 'POST'],
    ['POST', '/subscriptions/createsubscription/?a=1', ''],
    ['PUT', '/v1/subscriptions', 'GET, HEAD, POST'],
    ['PUT', '/v1/subscriptions/', 'GET, HEAD, POST'],
    ['POST', '/v1/subscriptions/7', 'DELETE, GET, HEAD, PATCH'],
    ['GET', '/v1/webhooks/batch', 'POST'],
    ['HEAD', '/ingest/7', 'POST'],
    ['GET', '/ingest/getsignature', 'POST'],
    ['OPTIONS', '/v1/stats', 'GET, HEAD'],
    ['DELETE', '/ping', 'GET, HEAD'],
    ['POST', '/api/docs/json', 'GET, HEAD'],
  ];
  for (const [method, path, allow] of cases) {
    const body = method === 'PUT' || method === 'POST' ? 'x=1' : undefined;
    const { status, headers, text, json } = await posthorn.request(method, path, body, {
      authorization: `Bearer ${key}`,
      'content-type': 'text/plain',
    });
    if (allow === '') {
      t.equal(status, 415, `${method} ${path} is taken`);
      continue;
    }
    t.equal(status, 405, `${method} ${path}: ${text}`);
    t.equal(headers.get('allow'), allow, `${method} ${path}`);
    t.equal(headers.get('content-type'), 'application/problem+json');
    if (method !== 'HEAD') t.match(json, { status: 405, detail: `not ${method}` });
  }
  t.equal((await posthorn.request('POST', '/nowhere')).status, 404);
  t.equal((await posthorn.request('POST', '/v1/stats')).status, 401, 'for who has the key');
  t.equal((await posthorn.request('POST', '/ping')).status, 405, 'or where none is needed');
});

t.test('an upload that is cut off is not reported as a database error', async (t) => {
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  const posthorn = await startTestService(t, {}, log);
  for (const path of ['/subscriptions/createsubscription', '/v1/webhooks']) {
    const socket = connect(Number(new URL(posthorn.url).port), '127.0.0.1');
    // The server says "100 Continue" when it has the headers and begins to read the body.
    socket.write(
      `POST ${path} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n`,
    );
    await once(socket, 'data');
    socket.write('{"url":');
    socket.resetAndDestroy();
    // Nobody hears the answer. What is asked afterwards, of the database too, is answered after it.
    t.equal((await posthorn.request('GET', '/ping')).status, 200);
  }
  t.notOk(lines.some((line) => line.includes('answered 503')));
});
