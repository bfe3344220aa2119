import {
  type AnswerHead,
  type AnswerHeaders,
  HeadTooLargeError,
  MAX_HEAD_BYTES,
  ProtocolError,
  readAnswerHead,
  statusOf,
} from './answer-head.ts';
import { ChunkedBody } from './chunked-body.ts';
import type { PhaseClock } from './phase-clock.ts';

/** The most bytes read of an answer's body, so that a receiver cannot fill the memory. */
const MAX_BODY_BYTES = 64 * 1024;
/** The bytes kept of it, for people who look for the cause of a failure. */
const EXCERPT_BYTES = 1024;
const CR = 0x0d;
const LF = 0x0a;
const NAMES = [Buffer.from('http'), Buffer.from('icy')];

export type OnHead = (statusCode: number, headers: AnswerHeaders) => void;

/**
 * Why an answer was not read to its end: its body was too long or malformed, or had not ended when the
 * connection ended (closed by the receiver, or broken), the time was over or this process stopped; or its head
 * had not ended when the receiver closed the connection.
 */
export type CutOff =
  | 'too long'
  | 'malformed'
  | 'closed'
  | 'broken'
  | 'time'
  | 'stopped'
  | 'closed in head';

export interface HttpAnswer {
  readonly statusCode: number;
  readonly retryAfter: string | undefined;
  readonly location: string | undefined;
  /** The first KiB of the body. */
  readonly excerpt: string | null;
  /** Null when it was read to its end. */
  readonly cutOff: CutOff | null;
}

/** The receiver sent interim answers (1xx) and no final one. */
export class InterimAnswersError extends Error {
  override readonly name = 'InterimAnswersError';
}

/**
 * Reads the answers on a connection, one after another, from receivers that are not trusted, with limits on
 * everything. The head decides: once it has arrived there is an answer, whatever happens to its body. Only an
 * excerpt of the body is kept, so ambiguous framing, which is dangerous for a proxy, is harmless here as long
 * as nothing more is read from a connection whose answer was irregular.
 */
export class AnswerReader {
  #onHead: OnHead | undefined;
  #clock: PhaseClock | undefined;
  /** The head of the final answer, once it is read. */
  #head: AnswerHead | undefined;
  /** The part of the head that has arrived: the first `#pendingBytes` bytes of this buffer. */
  #pending: Buffer | undefined;
  #pendingBytes = 0;
  /** The bytes before the head: interim answers and empty lines. */
  #passedOverBytes = 0;
  #interim = false;
  /** The bytes of a body with a length that are still to come. */
  #left = 0;
  #chunks: ChunkedBody | undefined;
  #bodyBytes = 0;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #cutOff: CutOff | null = null;
  #keepMs = 0;

  /** Prepares for the answer to the next request. */
  begin(onHead: OnHead | undefined, clock?: PhaseClock): void {
    this.#onHead = onHead;
    this.#clock = clock;
    this.#head = undefined;
    this.#pending = undefined;
    this.#passedOverBytes = 0;
    this.#interim = false;
    this.#chunks = undefined;
    this.#bodyBytes = 0;
    this.#kept = [];
    this.#keptBytes = 0;
    this.#cutOff = null;
  }

  /**
   * Reads bytes, and returns whether the answer is complete.
   *
   * @throws ProtocolError, HeadTooLargeError, InterimAnswersError, all of them before there is a head.
   */
  push(bytes: Buffer): boolean {
    let rest = bytes;
    while (this.#head === undefined) {
      if (rest.length === 0) return false;
      rest = this.#readHead(rest);
    }
    this.#bodyBytes += rest.length;
    const taken = this.#readBody(this.#head, rest);
    if (this.#isComplete(this.#head)) {
      // Bytes after the answer: it is unknown what they belong to.
      if (taken < rest.length || this.#chunks?.isRegular === false) this.#keepMs = 0;
      return true;
    }
    if (this.#chunks?.state === 'malformed') this.end('malformed');
    else if (this.#bodyBytes > MAX_BODY_BYTES) this.end('too long');
    return this.#cutOff !== null;
  }

  /** Ends reading, for this reason. Returns whether there is an answer. */
  end(why: CutOff): boolean {
    if (this.#head === undefined) return why === 'closed' && this.#endHead();
    if (why !== 'closed' || this.#head.body !== 'until the end') this.#cutOff = why;
    this.#keepMs = 0;
    return true;
  }

  /** The status, once the head has arrived. */
  get statusCode(): number | undefined {
    return this.#head?.statusCode;
  }

  /** How long the connection may be kept for another request, in milliseconds; 0: not at all. */
  get keepMs(): number {
    return this.#keepMs;
  }

  /** The answer, once reading has ended. */
  get answer(): HttpAnswer {
    const { statusCode, retryAfter, location } = this.#head as AnswerHead;
    return {
      statusCode,
      retryAfter,
      location,
      excerpt: this.#keptBytes === 0 ? null : excerptOf(this.#kept),
      cutOff: this.#cutOff,
    };
  }

  /** Reads the head and returns the bytes after it. */
  #readHead(bytes: Buffer): Buffer {
    const before = this.#pending === undefined ? 0 : this.#pendingBytes;
    const seen = before === 0 ? bytes : this.#addToPending(bytes);
    const start = before === 0 ? endOfEmptyLines(seen) : 0;
    if (!mayBeStatusLine(seen, start)) throw new ProtocolError('it does not begin with HTTP');
    const end = endOfHead(seen, Math.max(start, before - MAX_END_BYTES + 1));
    const length = (end === -1 ? seen.length : end) - start;
    this.#passedOverBytes += start;
    if (this.#passedOverBytes + length > MAX_HEAD_BYTES)
      throw this.#interim && this.#passedOverBytes > length
        ? new InterimAnswersError()
        : new HeadTooLargeError();
    if (end === -1) {
      if (before === 0 && start < seen.length) this.#addToPending(seen.subarray(start));
      return bytes.subarray(bytes.length);
    }
    this.#pending = undefined;
    const head = readAnswerHead(seen.toString('latin1', start, end), this.#onHead !== undefined);
    if (isInterim(head.statusCode)) this.#interim = true;
    else this.#take(head);
    this.#passedOverBytes += length;
    return seen.subarray(end);
  }

  /** Accepts a head that the connection cut off, if it has a status, as Python's http.client does. */
  #endHead(): boolean {
    const text = this.#pending?.toString('latin1', 0, this.#pendingBytes) ?? '';
    if (isInterim(statusOf(text) ?? 100)) return false;
    this.#take({ ...readAnswerHead(text, this.#onHead !== undefined), keepMs: 0 });
    this.#cutOff = 'closed in head';
    return true;
  }

  #take(head: AnswerHead): void {
    this.#head = head;
    this.#clock?.enter('body');
    // Bytes before an answer are rare, so such a connection is simply not kept.
    this.#keepMs = this.#passedOverBytes === 0 ? head.keepMs : 0;
    this.#left = typeof head.body === 'number' ? head.body : 0;
    if (head.body === 'chunked') this.#chunks = new ChunkedBody((data) => this.#keep(data));
    if (head.headers !== undefined) this.#onHead?.(head.statusCode, head.headers);
  }

  /** Appends bytes of the head to a doubling buffer, and returns all that have arrived. */
  #addToPending(bytes: Buffer): Buffer {
    const before = this.#pending === undefined ? 0 : this.#pendingBytes;
    const length = before + bytes.length;
    if (this.#pending === undefined || this.#pending.length < length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(MIN_PENDING_BYTES, 2 * length));
      this.#pending?.copy(larger, 0, 0, before);
      this.#pending = larger;
    }
    bytes.copy(this.#pending, before);
    this.#pendingBytes = length;
    return this.#pending.subarray(0, length);
  }

  /** Returns the number of bytes that belonged to the body. */
  #readBody({ body }: AnswerHead, bytes: Buffer): number {
    if (this.#chunks !== undefined) return this.#chunks.push(bytes);
    const taken = typeof body === 'number' ? Math.min(this.#left, bytes.length) : bytes.length;
    if (taken > 0) this.#keep(bytes.subarray(0, taken));
    if (typeof body === 'number') this.#left -= taken;
    return taken;
  }

  #isComplete({ body }: AnswerHead): boolean {
    if (this.#chunks !== undefined) return this.#chunks.state === 'complete';
    return body === 'unclear' || (body !== 'until the end' && this.#left === 0);
  }

  #keep(bytes: Buffer): void {
    if (this.#keptBytes >= EXCERPT_BYTES) return;
    const kept = bytes.subarray(0, EXCERPT_BYTES - this.#keptBytes);
    // A copy, because these bytes are a view of the socket's whole read buffer.
    this.#kept.push(Buffer.from(kept));
    this.#keptBytes += kept.length;
  }
}

/** An empty line may end in CR CR LF, which some servers write. */
const MAX_END_BYTES = 4;
const MIN_PENDING_BYTES = 512;

/** Returns true if another answer follows. Not after 101, after which another protocol follows. */
function isInterim(statusCode: number): boolean {
  return statusCode < 200 && statusCode !== 101;
}

/** Returns the start of the first line that is not empty. */
function endOfEmptyLines(bytes: Buffer): number {
  let at = 0;
  while (at < bytes.length && (bytes[at] as number) <= 0x20) at += 1;
  return at;
}

/** Returns true if the bytes from here, which may be incomplete, can be a status line. */
function mayBeStatusLine(bytes: Buffer, start: number): boolean {
  for (const name of NAMES) {
    const length = Math.min(name.length, bytes.length - start);
    let same = 0;
    while (same < length && ((bytes[start + same] as number) | 0x20) === name[same]) same += 1;
    if (same === length) return true;
  }
  return false;
}

/** Returns the end of the first empty line, or -1; lines may end in LF alone. */
function endOfHead(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(LF, from); at !== -1; at = bytes.indexOf(LF, at + 1)) {
    let next = at + 1;
    while (next < at + MAX_END_BYTES - 1 && bytes[next] === CR) next += 1;
    if (bytes[next] === LF) return next + 1;
  }
  return -1;
}

/** Returns text that Postgres accepts: without NUL, and with U+FFFD for cut or invalid characters. */
function excerptOf(chunks: Buffer[]): string {
  const [first] = chunks;
  const bytes = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
  const text = bytes.toString('utf8');
  return text.includes('\0') ? text.replaceAll('\0', '') : text;
}
