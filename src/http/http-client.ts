import { freeBuffer } from '../lib/free-buffer.ts';
import { NO_TEXT, TOKEN } from '../lib/http-syntax.ts';
import type { CutOff, HttpAnswer, OnHead } from './answer-reader.ts';
import { type Connection, Connections, type Requester } from './connections.ts';
import { type ConnectorOptions, createConnector } from './connector.ts';
import type { PhaseClock } from './phase-clock.ts';

export interface HttpRequest {
  readonly url: URL;
  /** On whose behalf, such as a tenant's: none takes all look-ups of names from others. */
  readonly owner?: string;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  readonly body: Buffer;
  /** No one else may read the body: once it is sent and answered, its memory may be freed. */
  readonly ownBody?: boolean;
  /** The time limit of this attempt, if it differs from the client's. */
  readonly timeoutMs?: number | undefined;
  /** Ends the request early. Without the head of an answer, the request rejects with the signal's reason. */
  readonly signal: AbortSignal;
  /** Called with the head of the answer as soon as it has arrived. */
  readonly onHead?: OnHead;
  /** Told when each phase of the request begins. */
  readonly clock?: PhaseClock;
}

/** The attempt exceeded its time limit. */
export class AttemptTimeoutError extends Error {
  override readonly name = 'AttemptTimeoutError';
  readonly phase: 'connect' | 'response';

  constructor(phase: 'connect' | 'response') {
    super(`timed out: ${phase}`);
    this.phase = phase;
  }
}

export interface HttpClient {
  /**
   * POSTs and reads the answer, within one time limit from DNS to the last byte. Once the head of an answer
   * has arrived this resolves, whatever happens to the rest, which `cutOff` reports. Redirects are answers
   * like any other. Nothing is decompressed.
   *
   * @throws before there is a head: AttemptTimeoutError, BlockedAddressError, ProxyError,
   *   ConnectionClosedError, ProtocolError, HeadTooLargeError, InterimAnswersError, the signal's reason,
   *   or what the socket or TLS threw.
   */
  post(request: HttpRequest): Promise<HttpAnswer>;
  /** Closes all connections, which ends the requests on them. */
  close(): Promise<void>;
}

/**
 * Creates an HTTP/1.1 client for receivers that are not trusted, with one timer for each attempt.
 *
 * docs/decisions/own-http-client.md says why it is not undici's, whose connector makes the sockets.
 */
export function createHttpClient(options: ConnectorOptions): HttpClient {
  const connections = new Connections();
  const connectors = new Map<number, ReturnType<typeof createConnector>>();
  /**
   * Connecting has its own time limit. Attempts with a longer limit share connectors of twice, four times, …
   * the ordinary one, so that there are few connectors.
   */
  const connectorFor = (timeoutMs: number) => {
    const factor =
      timeoutMs <= options.timeoutMs ? 1 : 2 ** Math.ceil(Math.log2(timeoutMs / options.timeoutMs));
    let connect = connectors.get(factor);
    if (connect === undefined) {
      connect = createConnector({ ...options, timeoutMs: options.timeoutMs * factor });
      connectors.set(factor, connect);
    }
    return connect;
  };

  const underWay = new Set<Exchange>();
  const watched = new WeakSet<AbortSignal>();
  // One listener for each signal, not for each request: adding and removing one would cost a tenth of a
  // request.
  const watch = (signal: AbortSignal) => {
    if (watched.has(signal)) return;
    watched.add(signal);
    signal.addEventListener('abort', () => {
      for (const exchange of underWay)
        if (exchange.signal === signal) exchange.end(signal.reason, 'stopped');
    });
  };

  const connect = (exchange: Exchange) => {
    const { timeoutMs, url, owner, clock } = exchange;
    connections.open(connectorFor(timeoutMs), url, owner, clock, (error, connection) => {
      if (connection === null) exchange.failed(error);
      // The attempt may have timed out; others can use the connection.
      else if (exchange.settled) connections.release(connection, CONNECTED_FOR_NOTHING_MS);
      else exchange.begin(connection);
    });
  };

  return {
    post: (request) =>
      new Promise((resolve, reject) => {
        const { url, signal, timeoutMs = options.timeoutMs } = request;
        signal.throwIfAborted();
        watch(signal);
        const exchange = new Exchange(underWay, request, timeoutMs, connect, resolve, reject);
        const idle = connections.take(url.origin);
        if (idle === undefined) connect(exchange);
        else exchange.begin(idle);
      }),
    async close() {
      for (const exchange of underWay) exchange.end(new Error('the client is closed'), 'stopped');
      connections.close();
    },
  };
}

const CONNECTED_FOR_NOTHING_MS = 1_000;

/** Up to this size a request is written in one piece, which costs less than two. */
const MAX_COPIED_BYTES = 16 * 1024;
const CR = 0x0d;
const LF = 0x0a;

/**
 * Writes a request (RFC 9112, 3 and 5) into one buffer, or two: concatenated strings would be garbage of the
 * same size again, and were a fifteenth of the memory that a delivery allocated.
 */
function piecesOf({ url, headers, body }: HttpRequest): readonly Buffer[] {
  const start = `POST ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${url.host}\r\nconnection: keep-alive\r\n`;
  const end = `content-length: ${body.length}\r\n\r\n`;
  let length = start.length + end.length;
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] as string;
    const value = headers[at + 1] as string;
    if (!TOKEN.test(name)) throw new Error(`"${name}" is not the name of a header`);
    if (NO_TEXT.test(value)) throw new Error(`the header ${name} has a value that cannot be sent`);
    length += name.length + value.length + 4;
  }
  const inOne = length + body.length <= MAX_COPIED_BYTES;
  const bytes = Buffer.allocUnsafe(inOne ? length + body.length : length);
  let place = bytes.write(start, 'latin1');
  for (let at = 0; at < headers.length; at += 2) {
    place += bytes.write(headers[at] as string, place, 'latin1');
    bytes[place++] = 0x3a;
    bytes[place++] = 0x20;
    place += bytes.write(headers[at + 1] as string, place, 'latin1');
    bytes[place++] = CR;
    bytes[place++] = LF;
  }
  place += bytes.write(end, place, 'latin1');
  if (!inOne) return [bytes, body];
  body.copy(bytes, place);
  return [bytes];
}

/** One request and its answer. */
class Exchange implements Requester {
  readonly onHead: OnHead | undefined;
  readonly clock: PhaseClock | undefined;
  readonly signal: AbortSignal;
  readonly url: URL;
  readonly owner: string;
  readonly timeoutMs: number;
  readonly #pieces: readonly Buffer[];
  readonly #ownBody: Buffer | undefined;
  readonly #connect: (exchange: Exchange) => void;
  readonly #underWay: Set<Exchange>;
  readonly #timer: NodeJS.Timeout;
  readonly #resolve: (answer: HttpAnswer) => void;
  readonly #reject: (reason: unknown) => void;
  #connection: Connection | null = null;
  settled = false;

  constructor(
    underWay: Set<Exchange>,
    request: HttpRequest,
    timeoutMs: number,
    connect: (exchange: Exchange) => void,
    resolve: (answer: HttpAnswer) => void,
    reject: (reason: unknown) => void,
  ) {
    this.onHead = request.onHead;
    this.clock = request.clock;
    this.signal = request.signal;
    this.url = request.url;
    this.owner = request.owner ?? '';
    this.timeoutMs = timeoutMs;
    this.#pieces = piecesOf(request);
    this.#ownBody = request.ownBody ? request.body : undefined;
    this.#connect = connect;
    this.#underWay = underWay;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#timer = setTimeout(() => {
      this.end(new AttemptTimeoutError(this.#connection === null ? 'connect' : 'response'), 'time');
    }, timeoutMs);
    underWay.add(this);
  }

  begin(connection: Connection): void {
    this.#connection = connection;
    this.clock?.enter('firstByte');
    connection.send(this.#pieces, this);
  }

  /** Sends the request once more, on a new connection. A receiver that gets it twice recognizes the id. */
  unheard(): void {
    this.#connection = null;
    this.clock?.restart();
    this.#connect(this);
  }

  answered(answer: HttpAnswer, sent: boolean): void {
    this.#settle();
    if (sent && this.#ownBody !== undefined) freeBuffer(this.#ownBody);
    this.#resolve(answer);
  }

  failed(reason: unknown): void {
    if (this.settled) return;
    this.#settle();
    this.#reject(reason);
  }

  /** Ends the exchange and its connection. */
  end(reason: unknown, why: CutOff): void {
    if (this.#connection === null) this.failed(reason);
    else this.#connection.end(reason, why);
  }

  #settle(): void {
    this.settled = true;
    clearTimeout(this.#timer);
    this.#underWay.delete(this);
  }
}
