// Node's HTTP server, which would answer some requests by itself, with nothing or a line of text.
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ConnectionError } from 'fastify';
import { formatBytes } from '../lib/bytes.ts';
import { createServer, STATUS_CODES } from '../lib/node-http.ts';
import { invalidField, Problem } from './problems.ts';

/** Of the request line and the headers together. */
const MAX_HEADER_BYTES = 16 * 1024;
/** Longer than any body that fits the limit needs; it ends requests that drip. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Longer than load balancers keep a connection that nobody uses: 60 s is usual. */
const KEEP_ALIVE_MS = 72_000;

/** The last answer of each connection. */
type Answers = WeakMap<Duplex, ServerResponse>;

/**
 * A server whose every answer is the handler's or problem+json: to what is not HTTP, to requests
 * without one `Host` or with a transfer coding that is not chunked, to an `Expect` that is not understood, and to CONNECT. fastify makes two of them
 * where the host is `localhost`.
 */
export function createApiServer(handler: RequestListener): Server {
  const answers: Answers = new WeakMap();
  const server = createServer(
    // A request without Host is answered here.
    { maxHeaderSize: MAX_HEADER_BYTES, requireHostHeader: false },
    (request, response) => {
      answers.set(request.socket, response);
      const problem = judgeHost(request) ?? judgeFraming(request);
      if (problem === null) handler(request, response);
      else respond(response, problem);
    },
  );
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.on('checkExpectation', (request, response) =>
    respond(
      response,
      new Problem(
        'expectation-failed',
        `Expect: ${request.headers.expect} is not understood; send 100-continue, or leave it out.`,
      ),
    ),
  );
  server.on('connect', (_request, socket) =>
    endWith(
      socket,
      new Problem('method-not-allowed', 'This is an API and no proxy: it does not CONNECT.', {
        headers: { allow: 'DELETE, GET, HEAD, PATCH, POST, PUT' },
      }),
    ),
  );
  server.on('clientError', (error: ConnectionError, socket) =>
    answerClientError(answers.get(socket), error, socket),
  );
  return server;
}

/** RFC 9112, 3.2: a request of HTTP/1.1 has one Host, none has two, and none names another in its URL. */
function judgeHost({
  rawHeaders,
  headers,
  httpVersion,
  url = '',
}: IncomingMessage): Problem | null {
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] as string;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  if (hosts > 1) return invalidField('headers.host', 'is sent several times; send it once');
  if (hosts === 0)
    return httpVersion === '1.0'
      ? null
      : invalidField('headers.host', 'is missing; send it, as HTTP/1.1 asks');
  // What comes for a proxy: the host of the URL would be the one that counts.
  if (url.startsWith('/') || url === '*') return null;
  return URL.parse(url)?.host === headers.host?.toLowerCase()
    ? null
    : invalidField('headers.host', 'is not the host of the URL; send the path alone');
}

/** RFC 9112, 6.3: where another coding comes last, the end of the body is not known. */
function judgeFraming({ headers }: IncomingMessage): Problem | null {
  const coding = headers['transfer-encoding'];
  return coding === undefined || coding.toLowerCase() === 'chunked'
    ? null
    : invalidField('headers.transfer-encoding', `is ${coding}; only chunked is taken`);
}

/** Answers before the handler is asked. */
function respond(response: ServerResponse, problem: Problem): void {
  const body = JSON.stringify(problem);
  response.writeHead(problem.status, {
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(body),
    // The body that may follow is not read.
    connection: 'close',
  });
  response.end(body);
}

/**
 * Answers what the parser refuses, which never becomes a request, on its socket.
 *
 * @param answer the last one of the connection.
 */
export function answerClientError(
  answer: ServerResponse | undefined,
  error: ConnectionError,
  socket: Duplex,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy(error);
    return;
  }
  const close = () => socket.end(() => socket.destroy());
  if (error.code === 'HPE_CLOSED_CONNECTION' && answer?.writableFinished) return void close();
  // What cannot be read is this request, or comes after it.
  const ofThisRequest = answer !== undefined && !answer.req.complete;
  if (answer === undefined || (ofThisRequest ? !answer.headersSent : answer.writableFinished))
    endWith(socket, explain(error));
  // A request has one answer, which is on its way or is out.
  else if (answer.writableFinished) close();
  else answer.once('finish', close);
}

function explain({ code }: ConnectionError): Problem {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new Problem('request-timeout', 'The request took too long to arrive; send it again.');
    case 'HPE_HEADER_OVERFLOW':
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new Problem(
        'headers-too-large',
        `The request line and the headers have more than ${formatBytes(MAX_HEADER_BYTES)}.`,
      );
    default:
      return new Problem('invalid-request', `This is not HTTP/1.1 (${code}).`);
  }
}

/** Writes a problem on a socket that has no response, and closes it. */
function endWith(socket: Duplex, problem: Problem): void {
  const body = JSON.stringify(problem);
  const lines = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    ...Object.entries(problem.headers).map(([name, value]) => `${name}: ${value}`),
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
