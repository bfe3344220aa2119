// Node's HTTP server answers some requests itself, without a body or with a line of text. This makes every
// answer of the API a problem+json.
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ConnectionError } from 'fastify';
import { formatBytes } from '../lib/bytes.ts';
import { createServer, STATUS_CODES } from '../lib/node-http.ts';
import { invalidField, Problem } from './problems.ts';

/** The limit for the request line and the headers together. */
const MAX_HEADER_BYTES = 16 * 1024;
/** Longer than any allowed body needs; it ends requests that arrive byte by byte. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Longer than load balancers keep an idle connection, which is usually 60 s. */
const KEEP_ALIVE_MS = 72_000;

/** The last response of each connection. */
type Answers = WeakMap<Duplex, ServerResponse>;

/**
 * Creates a server that also answers requests which do not reach the handler, with problem+json: bytes that are not
 * HTTP, requests without exactly one `Host`, with a transfer coding other than chunked or an unknown
 * `Expect`, and CONNECT. fastify creates two of these servers if the host is `localhost`.
 */
export function createApiServer(handler: RequestListener): Server {
  const answers: Answers = new WeakMap();
  const server = createServer(
    // Node would answer a request without Host itself; judgeHost does it here.
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
        `The header Expect: ${request.headers.expect} is not supported; send Expect: 100-continue, or leave the header out.`,
      ),
    ),
  );
  server.on('connect', (_request, socket) =>
    endWith(
      socket,
      new Problem(
        'method-not-allowed',
        'This is an API, not a proxy; it does not support CONNECT.',
        {
          headers: { allow: 'DELETE, GET, HEAD, PATCH, POST, PUT' },
        },
      ),
    ),
  );
  server.on('clientError', (error: ConnectionError, socket) =>
    answerClientError(answers.get(socket), error, socket),
  );
  return server;
}

/**
 * Makes each answer from now on end its connection, so that a client with a pool of connections opens its next one to
 * another process. Without it, such a client may write a request at the moment at which its connection is closed.
 */
export function closeAfterAnswers(server: Server): void {
  server.prependListener('request', (_request, response: ServerResponse) => {
    response.setHeader('connection', 'close');
  });
}

/** RFC 9112, 3.2: HTTP/1.1 requires one Host; no request may have two, or one that differs from its URL. */
function judgeHost({
  rawHeaders,
  headers,
  httpVersion,
  url = '',
}: IncomingMessage): Problem | null {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  if (hosts > 1) return invalidField('headers.host', 'is sent several times; send it once');
  if (hosts === 0)
    return httpVersion === '1.0'
      ? null
      : invalidField('headers.host', 'is missing; HTTP/1.1 requires it');
  // A full URL is the form for proxies. There the host of the URL counts, so Host must be the same.
  if (url.startsWith('/') || url === '*') return null;
  return URL.parse(url)?.host === headers.host?.toLowerCase()
    ? null
    : invalidField(
        'headers.host',
        'differs from the host of the URL; send the path without a host',
      );
}

/** RFC 9112, 6.3: if another coding comes last, the end of the body is not known. */
function judgeFraming({ headers }: IncomingMessage): Problem | null {
  const coding = headers['transfer-encoding'];
  return coding === undefined || coding.toLowerCase() === 'chunked'
    ? null
    : invalidField('headers.transfer-encoding', `is ${coding}; it must be chunked or left out`);
}

/** Answers a request that does not reach the handler. */
function respond(response: ServerResponse, problem: Problem): void {
  const body = JSON.stringify(problem);
  response.writeHead(problem.status, {
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(body),
    // A body that may follow is not read.
    connection: 'close',
  });
  response.end(body);
}

/**
 * Answers, on the socket, bytes that the HTTP parser refused and that never became a request.
 *
 * @param answer the last response of the connection.
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
  // The bytes that cannot be parsed belong to this request, or follow it.
  const isInThisRequest = answer !== undefined && !answer.req.complete;
  if (answer === undefined || (isInThisRequest ? !answer.headersSent : answer.writableFinished))
    endWith(socket, explain(error));
  // A request gets a single answer, and this request's answer has been started or sent.
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
        `The request line and the headers are larger than ${formatBytes(MAX_HEADER_BYTES)}; send less.`,
      );
    default:
      return new Problem('invalid-request', `The request is not valid HTTP/1.1 (${code}).`);
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
