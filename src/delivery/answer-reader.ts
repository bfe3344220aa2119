import {
  type AnswerHead,
  type AnswerHeaders,
  HeadTooLargeError,
  MAX_HEAD_BYTES,
  ProtocolError,
  readAnswerHead,
} from './answer-head.ts';
import { ChunkedBody } from './chunked-body.ts';

/** Past this an answer's body is not read; nobody needs it, and a receiver must not fill our memory. */
const MAX_BODY_BYTES = 64 * 1024;
/** What is kept of it, for the person who asks why it failed. */
const EXCERPT_BYTES = 1024;
/** Answers of 1xx before the one that counts; a flood of them would cost us a core. */
const MAX_INTERIM_ANSWERS = 100;
const END_OF_HEAD = Buffer.from('\r\n\r\n');
const VERSION = Buffer.from('HTTP/1.');

export type OnHead = (statusCode: number, headers: AnswerHeaders) => void;

export interface HttpAnswer {
  readonly statusCode: number;
  readonly retryAfter: string | undefined;
  readonly location: string | undefined;
  /** The first KiB of the body. */
  readonly excerpt: string | null;
  /** The body went on past what we read, and the connection was closed on it. */
  readonly cutOff: boolean;
}

/** The receiver sent answers of 1xx and none that counts. */
export class InterimAnswersError extends Error {
  override readonly name = 'InterimAnswersError';
}

/**
 * Reads the answers on a connection, one after the other, from receivers one does not trust: HTTP/1.1
 * and 1.0 as RFC 9112 has them, with a bound on everything. Where that lets a reader choose between
 * mending and refusing, what could be read in two ways is refused.
 */
export class AnswerReader {
  #onHead: OnHead | undefined;
  /** Of the answer that counts, once it is read. */
  #head: AnswerHead | undefined;
  #interimAnswers = 0;
  /** Of the head, what has come of it so far. */
  #pending: Buffer | undefined;
  /** Of a body of that length, what is to come. */
  #left = 0;
  #chunks: ChunkedBody | undefined;
  #bodyBytes = 0;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #cutOff = false;
  #keepMs = 0;

  /** Gets ready for the answer to a request. */
  begin(onHead: OnHead | undefined): void {
    this.#onHead = onHead;
    this.#head = undefined;
    this.#interimAnswers = 0;
    this.#pending = undefined;
    this.#chunks = undefined;
    this.#bodyBytes = 0;
    this.#kept = [];
    this.#keptBytes = 0;
    this.#cutOff = false;
  }

  /**
   * Takes what has come, and returns whether the answer is complete.
   *
   * @throws ProtocolError, HeadTooLargeError, InterimAnswersError. It then reads no more.
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
      // More than was asked for: nobody can tell what it is part of.
      if (taken < rest.length) this.#keepMs = 0;
      return true;
    }
    if (this.#bodyBytes <= MAX_BODY_BYTES) return false;
    this.#cutOff = true;
    this.#keepMs = 0;
    return true;
  }

  /** The connection has ended. Returns whether that completes the answer. */
  end(): boolean {
    return this.#head?.body === 'until the end';
  }

  /** How long the connection may be kept for another request, in milliseconds; 0: not at all. */
  get keepMs(): number {
    return this.#keepMs;
  }

  /** What was read, once it is complete. */
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

  /** Returns what comes after the head. */
  #readHead(bytes: Buffer): Buffer {
    const before = this.#pending?.length ?? 0;
    const seen = this.#pending === undefined ? bytes : Buffer.concat([this.#pending, bytes]);
    const likeHttp = Math.min(seen.length, VERSION.length);
    if (seen.compare(VERSION, 0, likeHttp, 0, likeHttp) !== 0)
      throw new ProtocolError('it does not begin with HTTP/1');
    const end = seen.indexOf(END_OF_HEAD, Math.max(0, before + 1 - END_OF_HEAD.length));
    const length = end === -1 ? seen.length : end + END_OF_HEAD.length;
    if (length > MAX_HEAD_BYTES) throw new HeadTooLargeError();
    if (end === -1) {
      this.#pending = seen;
      return bytes.subarray(bytes.length);
    }
    this.#pending = undefined;
    this.#take(readAnswerHead(seen.toString('latin1', 0, end), this.#onHead !== undefined));
    return seen.subarray(length);
  }

  #take(head: AnswerHead): void {
    if (head.statusCode < 200) {
      this.#interimAnswers += 1;
      if (this.#interimAnswers > MAX_INTERIM_ANSWERS) throw new InterimAnswersError();
      return;
    }
    this.#head = head;
    this.#keepMs = head.keepMs;
    this.#left = typeof head.body === 'number' ? head.body : 0;
    if (head.body === 'chunked') this.#chunks = new ChunkedBody((data) => this.#keep(data));
    if (head.headers !== undefined) this.#onHead?.(head.statusCode, head.headers);
  }

  /** Returns how much of it was of the body. */
  #readBody({ body }: AnswerHead, bytes: Buffer): number {
    if (this.#chunks !== undefined) return this.#chunks.push(bytes);
    const taken = body === 'until the end' ? bytes.length : Math.min(this.#left, bytes.length);
    if (taken > 0) this.#keep(bytes.subarray(0, taken));
    this.#left -= taken;
    return taken;
  }

  #isComplete({ body }: AnswerHead): boolean {
    if (this.#chunks !== undefined) return this.#chunks.isComplete;
    return body !== 'until the end' && this.#left === 0;
  }

  #keep(bytes: Buffer): void {
    if (this.#keptBytes >= EXCERPT_BYTES) return;
    const kept = bytes.subarray(0, EXCERPT_BYTES - this.#keptBytes);
    // A copy: these are a window on a socket's whole read buffer.
    this.#kept.push(Buffer.from(kept));
    this.#keptBytes += kept.length;
  }
}

/** Text as Postgres takes it: without NUL, and with a mark where a character was cut or is none. */
function excerptOf(chunks: Buffer[]): string {
  const [first] = chunks;
  const bytes = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
  const text = bytes.toString('utf8');
  return text.includes('\0') ? text.replaceAll('\0', '') : text;
}
