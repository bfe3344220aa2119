import type { Dispatcher } from 'undici';
import { type ConnectorOptions, createConnector } from './connector.ts';
import { Agent } from './undici.ts';

/** Past this an answer is not read; nobody needs it, and a receiver must not fill our memory. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** What is kept of an answer, for the person who asks why it failed. */
const EXCERPT_BYTES = 1024;
/** Answers of 1xx before the one that counts; a flood of them would cost us a core. */
const MAX_INTERIM_ANSWERS = 100;

export interface HttpRequest {
  readonly url: URL;
  /** Names and values in turn. */
  readonly headers: string[];
  readonly body: Buffer;
  /** Bound of this attempt, where it is not the client's own. */
  readonly timeoutMs?: number | undefined;
  /** Ends the request early; it then rejects with the signal's reason. */
  readonly signal: AbortSignal;
  /** Told of the head of the answer as soon as it is there. */
  readonly onHead?: OnHead;
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;
type OnHead = (statusCode: number, headers: Headers) => void;

export interface HttpAnswer {
  readonly statusCode: number;
  readonly retryAfter: string | undefined;
  readonly location: string | undefined;
  /** The first KiB of the body. */
  readonly excerpt: string | null;
  /** The body went on past what we read, and the connection was closed on it. */
  readonly cutOff: boolean;
}

/** The time bound of an attempt ran out. */
export class AttemptTimeoutError extends Error {
  override readonly name = 'AttemptTimeoutError';
  readonly phase: 'connect' | 'response';

  constructor(phase: 'connect' | 'response') {
    super(`timed out: ${phase}`);
    this.phase = phase;
  }
}

/** The receiver sent answers of 1xx and none that counts. */
export class InterimAnswersError extends Error {
  override readonly name = 'InterimAnswersError';
}

export interface HttpClient {
  /**
   * POSTs and reads the answer, within one bound of time from DNS to the last byte. Redirects are
   * answers like any other. Nothing is decompressed.
   *
   * @throws AttemptTimeoutError, BlockedAddressError, ProxyError, or what the socket, TLS or the parser threw.
   */
  post(request: HttpRequest): Promise<HttpAnswer>;
  /** Closes all connections. */
  close(): Promise<void>;
}

/**
 * An HTTP client for receivers one does not trust. undici's own time-outs stop neither a body that
 * drips nor a flood of 103s, so there is one timer of ours over everything.
 *
 * It speaks to undici's dispatcher rather than through `request()`, which makes a stream of every
 * answer: most answers are a handful of bytes, and the streams cost as much as all the rest.
 */
export function createHttpClient(options: ConnectorOptions): HttpClient {
  const agents = new Map<number, Dispatcher>();
  const agentFor = (boundMs: number): Dispatcher => {
    let agent = agents.get(boundMs);
    if (agent === undefined) {
      agent = new Agent({
        connect: createConnector({ ...options, timeoutMs: boundMs }),
        pipelining: 1,
        allowH2: false,
        headersTimeout: 0,
        bodyTimeout: 0,
      });
      agents.set(boundMs, agent);
    }
    return agent;
  };
  const ordinary = agentFor(options.timeoutMs);
  /**
   * A connection that is being made has a bound of its own. Attempts that have longer share the
   * agents of twice, four times, … the ordinary bound, so that there are few.
   */
  const agentOf = (timeoutMs: number): Dispatcher => {
    if (timeoutMs <= options.timeoutMs) return ordinary;
    return agentFor(options.timeoutMs * 2 ** Math.ceil(Math.log2(timeoutMs / options.timeoutMs)));
  };

  // One listener a signal for however many requests: adding and removing one for each would cost as
  // much as a tenth of a request.
  const underWay = new WeakMap<AbortSignal, Set<Exchange>>();
  const exchangesOf = (signal: AbortSignal): Set<Exchange> => {
    const known = underWay.get(signal);
    if (known !== undefined) return known;
    const exchanges = new Set<Exchange>();
    underWay.set(signal, exchanges);
    signal.addEventListener('abort', () => {
      for (const exchange of exchanges) exchange.fail(signal.reason);
    });
    return exchanges;
  };

  return {
    post: (request) =>
      new Promise((resolve, reject) => {
        if (request.signal.aborted) {
          reject(request.signal.reason);
          return;
        }
        const { timeoutMs = options.timeoutMs } = request;
        const exchange = new Exchange(
          exchangesOf(request.signal),
          timeoutMs,
          request.onHead,
          resolve,
          reject,
        );
        try {
          agentOf(timeoutMs).dispatch(
            {
              origin: request.url.origin,
              path: request.url.pathname + request.url.search,
              method: 'POST',
              headers: request.headers,
              body: request.body,
            },
            exchange,
          );
        } catch (error) {
          exchange.onResponseError(null, error as Error);
        }
      }),
    async close() {
      await Promise.all([...agents.values()].map((agent) => agent.destroy()));
    },
  };
}

/** One request and its answer, as undici's dispatcher reports them. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #underWay: Set<Exchange>;
  readonly #timer: NodeJS.Timeout;
  readonly #onHead: OnHead | undefined;
  readonly #resolve: (answer: HttpAnswer) => void;
  readonly #reject: (reason: unknown) => void;
  #controller: Dispatcher.DispatchController | undefined;
  #settled = false;
  #statusCode = 0;
  #interimAnswers = 0;
  #retryAfter: string | undefined;
  #location: string | undefined;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #readBytes = 0;

  constructor(
    underWay: Set<Exchange>,
    timeoutMs: number,
    onHead: OnHead | undefined,
    resolve: (answer: HttpAnswer) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#underWay = underWay;
    this.#onHead = onHead;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#timer = setTimeout(() => {
      this.fail(new AttemptTimeoutError(this.#controller === undefined ? 'connect' : 'response'));
    }, timeoutMs);
    underWay.add(this);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Time ran out before there was a connection to abort.
    if (this.#settled) controller.abort(new AttemptTimeoutError('connect'));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: Headers,
  ): void {
    if (statusCode < 200) {
      this.#interimAnswers += 1;
      if (this.#interimAnswers > MAX_INTERIM_ANSWERS) this.fail(new InterimAnswersError());
      return;
    }
    this.#statusCode = statusCode;
    this.#retryAfter = one(headers['retry-after']);
    this.#location = one(headers.location);
    this.#onHead?.(statusCode, headers);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#readBytes += chunk.length;
    if (this.#keptBytes < EXCERPT_BYTES) {
      const kept = chunk.subarray(0, EXCERPT_BYTES - this.#keptBytes);
      // A copy: the chunk is a window on a socket's whole read buffer.
      this.#kept.push(Buffer.from(kept));
      this.#keptBytes += kept.length;
    }
    if (this.#readBytes > MAX_ANSWER_BYTES) this.#succeed(true);
  }

  onResponseEnd(): void {
    this.#succeed(false);
  }

  onResponseError(_controller: unknown, error: Error): void {
    this.fail(error);
  }

  #succeed(cutOff: boolean): void {
    if (!this.#settle()) return;
    this.#resolve({
      statusCode: this.#statusCode,
      retryAfter: this.#retryAfter,
      location: this.#location,
      excerpt: this.#keptBytes === 0 ? null : excerptOf(this.#kept),
      cutOff,
    });
    if (cutOff) this.#controller?.abort(new Error('answer too large'));
  }

  /** Ends the request, if it has not ended. */
  fail(reason: unknown): void {
    if (!this.#settle()) return;
    this.#reject(reason);
    this.#controller?.abort(reason instanceof Error ? reason : new Error(String(reason)));
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#underWay.delete(this);
    return true;
  }
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

/** Text as Postgres takes it: without NUL, and with a mark where a character was cut or is none. */
function excerptOf(chunks: Buffer[]): string {
  const [first] = chunks;
  const bytes = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
  const text = bytes.toString('utf8');
  return text.includes('\0') ? text.replaceAll('\0', '') : text;
}
