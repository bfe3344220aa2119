import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import { pipeline } from 'node:stream';
import { errorCode } from '../lib/errors.ts';
import { Agent, request as httpRequest } from '../lib/node-http.ts';

/** Marks a request that a home has passed on, with the name of that home. It is passed on once only. */
export const HOP_HEADER = 'posthorn-passed-on-by';

/** Why a request was not answered by the other home. */
export type ForwardFailure =
  /** It was not sent. */
  | 'away'
  /** It was sent, at least in part, so it may have been carried out. */
  | 'unknown'
  /** Too many are under way to that home. */
  | 'too-many'
  /** Its body has more than `maxBytes`. */
  | 'too-large';

interface ForwardOptions {
  /** The origin of the other home's API. */
  readonly apiUrl: string;
  /** The name of this home. */
  readonly from: string;
  /** The limit of its body: a home that refuses a body closes the connection, and its answer may be lost. */
  readonly maxBytes: number;
  /** The body, if it was read already; left out: it is read from the request. */
  readonly body?: Buffer | undefined;
}

export interface Forwarder {
  /**
   * Passes a request on to another home and its answer back, unchanged and as they come.
   *
   * @returns the status of the answer once that has begun; it goes on by itself. Otherwise why there is none: then nothing
   *   was answered.
   */
  pass(
    request: IncomingMessage,
    answer: ServerResponse,
    options: ForwardOptions,
  ): Promise<number | ForwardFailure>;
  /** Closes connections that are not in use. */
  stop(): void;
}

/** Requests under way to one home: a home that does not answer must not take all memory of this one. */
const MAX_IN_FLIGHT = 500;
const CONNECT_TIMEOUT_MS = 3_000;
/** Longer than the longest wait of a request that pulls. */
const ANSWER_TIMEOUT_MS = 75_000;
/** Shorter than servers keep an idle connection, so that none is used while it is being closed. */
const IDLE_MS = 30_000;
const AGENT_OPTIONS = { keepAlive: true, timeout: IDLE_MS, maxFreeSockets: 50 };
/** About one connection (RFC 9110, 7.6.1). */
const HOP_BY_HOP = new Set(
  ['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding'].concat([
    'upgrade',
    'expect',
    'host',
  ]),
);

/** Passes requests on to other homes. */
export function createForwarder(): Forwarder {
  const agents = { http: new Agent(AGENT_OPTIONS), https: new https.Agent(AGENT_OPTIONS) };
  const inFlight = new Map<string, number>();

  function open(request: IncomingMessage, { apiUrl, from, body }: ForwardOptions): ClientRequest {
    const secure = apiUrl.startsWith('https:');
    const headers = [...endToEnd(request), HOP_HEADER, from];
    const length = request.headers['content-length'];
    if (body === undefined && length === undefined && request.headers['transfer-encoding'])
      headers.push('transfer-encoding', 'chunked');
    const { host } = new URL(apiUrl);
    return (secure ? https.request : httpRequest)(new URL(request.url ?? '/', apiUrl), {
      method: request.method ?? 'GET',
      headers: ['host', host, ...(body === undefined ? headers : withLength(headers, body))],
      agent: secure ? agents.https : agents.http,
    });
  }

  return {
    async pass(request, answer, options) {
      const { apiUrl, body, maxBytes } = options;
      if (Number(request.headers['content-length'] ?? 0) > maxBytes) return 'too-large';
      const under = inFlight.get(apiUrl) ?? 0;
      if (under >= MAX_IN_FLIGHT) return 'too-many';
      inFlight.set(apiUrl, under + 1);
      answer.once('close', () => inFlight.set(apiUrl, (inFlight.get(apiUrl) ?? 1) - 1));
      const upstream = open(request, options);
      answer.once('close', () => upstream.destroy());
      let bytes = 0;
      if (body === undefined) {
        request.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > maxBytes) upstream.destroy();
        });
        request.pipe(upstream);
      } else upstream.end(body);
      const head = await headOf(upstream);
      if (bytes > maxBytes) return 'too-large';
      if (typeof head === 'string') {
        request.unpipe(upstream);
        // The rest of the body, so that the client reads the answer.
        request.resume();
        return head;
      }
      const status = head.statusCode as number;
      answer.writeHead(status, endToEnd(head));
      answer.flushHeaders();
      pipeline(head, answer, () => {});
      return status;
    },
    stop() {
      agents.http.destroy();
      agents.https.destroy();
    },
  };
}

function headOf(upstream: ClientRequest): Promise<IncomingMessage | ForwardFailure> {
  return new Promise((resolve) => {
    let connected = false;
    let timer: NodeJS.Timeout | undefined;
    const limit = (timeMs: number) => {
      clearTimeout(timer);
      timer = setTimeout(() => upstream.destroy(new Error('no answer in time')), timeMs);
    };
    const end = (result: IncomingMessage | ForwardFailure) => {
      clearTimeout(timer);
      resolve(result);
    };
    limit(CONNECT_TIMEOUT_MS);
    upstream.on('socket', (socket) => {
      const begin = () => {
        connected = true;
        limit(ANSWER_TIMEOUT_MS);
      };
      if (socket.connecting) socket.once('connect', begin);
      else begin();
    });
    upstream.on('response', end);
    // Stays for errors after the answer, of which the client learns by the end of the connection.
    upstream.on('error', (error) =>
      end(connected && errorCode(error) !== 'ECONNREFUSED' ? 'unknown' : 'away'),
    );
    upstream.on('close', () => end('unknown'));
  });
}

/** The headers of a message that are not about its connection, as they came. */
function endToEnd({ rawHeaders, headers }: IncomingMessage): string[] {
  const named = (headers.connection ?? '').toLowerCase().split(/\s*,\s*/);
  const kept: string[] = [];
  for (let n = 0; n < rawHeaders.length; n += 2) {
    const name = (rawHeaders[n] as string).toLowerCase();
    if (HOP_BY_HOP.has(name) || named.includes(name)) continue;
    kept.push(rawHeaders[n] as string, rawHeaders[n + 1] as string);
  }
  return kept;
}

function withLength(headers: readonly string[], body: Buffer): string[] {
  const kept: string[] = [];
  for (let n = 0; n < headers.length; n += 2) {
    if (headers[n]?.toLowerCase() !== 'content-length')
      kept.push(headers[n] as string, headers[n + 1] as string);
  }
  return [...kept, 'content-length', String(body.length)];
}
