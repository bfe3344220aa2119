import { NO_TEXT, TOKEN } from '../lib/http-syntax.ts';

/** Past this an answer's body is not read; nobody needs it, and a receiver must not fill our memory. */
const MAX_BODY_BYTES = 64 * 1024;
/** What is kept of it, for the person who asks why it failed. */
const EXCERPT_BYTES = 1024;
/** As Node bounds heads. */
const MAX_HEAD_BYTES = 16 * 1024;
const MAX_HEAD_LINES = 500;
/** Answers of 1xx before the one that counts; a flood of them would cost us a core. */
const MAX_INTERIM_ANSWERS = 100;
/** More hex digits than a size of any sense has, and fewer than a number can tell apart. */
const MAX_SIZE_DIGITS = 13;

const END_OF_HEAD = Buffer.from('\r\n\r\n');
const VERSION = Buffer.from('HTTP/1.');
const STATUS_LINE = /^HTTP\/1\.([01]) (\d{3})(?: .*)?$/;
const CR = 0x0d;
const LF = 0x0a;

/** What an answer said in its head. Names are in lower case. */
export type AnswerHeaders = Readonly<Record<string, string | string[]>>;
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

/** What the receiver said is not HTTP/1.1. Its message says what was wrong, as a clause. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** The head of an answer, or its trailers, have more bytes or lines than are read. */
export class HeadTooLargeError extends Error {
  override readonly name = 'HeadTooLargeError';
}

/** The receiver sent answers of 1xx and none that counts. */
export class InterimAnswersError extends Error {
  override readonly name = 'InterimAnswersError';
}

type State =
  | 'head'
  | 'length'
  | 'until the end'
  | 'chunk size'
  | 'chunk extension'
  | 'chunk'
  | 'end of chunk'
  | 'trailers'
  | 'complete';

/**
 * Reads the answers on a connection, one after the other, from receivers one does not trust: HTTP/1.1
 * and 1.0 as RFC 9112 has them, with a bound on everything. Where that lets a reader choose between
 * mending and refusing, what could be read in two ways is refused.
 */
export class AnswerReader {
  #state: State = 'complete';
  #onHead: OnHead | undefined;
  #statusCode = 0;
  #retryAfter: string | undefined;
  #location: string | undefined;
  #interimAnswers = 0;
  /** Of the head, what has come of it so far. */
  #pending: Buffer | undefined;
  /** Of the body or of a chunk, what is to come. */
  #left = 0;
  #digits = 0;
  #lastByte = 0;
  #trailerBytes = 0;
  #trailerLines = 0;
  #bodyBytes = 0;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #cutOff = false;
  #keepMs = 0;

  /** Gets ready for the answer to a request. */
  begin(onHead: OnHead | undefined): void {
    this.#state = 'head';
    this.#onHead = onHead;
    this.#interimAnswers = 0;
    this.#pending = undefined;
    this.#bodyBytes = 0;
    this.#kept = [];
    this.#keptBytes = 0;
    this.#cutOff = false;
  }

  /**
   * Takes what has come.
   *
   * @returns whether the answer is complete.
   * @throws ProtocolError, HeadTooLargeError, InterimAnswersError. It then reads no more.
   */
  push(bytes: Buffer): boolean {
    let rest = bytes;
    while (this.#state === 'head' && rest.length > 0) rest = this.#readHead(rest);
    if (this.#state === 'complete') {
      // More than was asked for: nobody can tell what it is part of.
      if (rest.length > 0) this.#keepMs = 0;
      return true;
    }
    if (rest.length === 0) return false;
    this.#bodyBytes += rest.length;
    const surplus = this.#readBody(rest);
    if (this.#isComplete()) {
      if (surplus > 0) this.#keepMs = 0;
      return true;
    }
    if (this.#bodyBytes <= MAX_BODY_BYTES) return false;
    this.#cutOff = true;
    this.#complete(0);
    return true;
  }

  /** The connection has ended. Returns whether that completes the answer. */
  end(): boolean {
    if (this.#state !== 'until the end') return false;
    this.#complete(0);
    return true;
  }

  /** How long the connection may be kept for another request, in milliseconds; 0: not at all. */
  get keepMs(): number {
    return this.#keepMs;
  }

  /** What was read, once it is complete. */
  get answer(): HttpAnswer {
    return {
      statusCode: this.#statusCode,
      retryAfter: this.#retryAfter,
      location: this.#location,
      excerpt: this.#keptBytes === 0 ? null : excerptOf(this.#kept),
      cutOff: this.#cutOff,
    };
  }

  #isComplete(): boolean {
    return this.#state === 'complete';
  }

  #complete(keepMs: number): void {
    this.#state = 'complete';
    this.#keepMs = keepMs;
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
    if (length > MAX_HEAD_BYTES) throw new HeadTooLargeError('too many bytes');
    if (end === -1) {
      this.#pending = seen;
      return bytes.subarray(bytes.length);
    }
    this.#pending = undefined;
    this.#judgeHead(seen.toString('latin1', 0, end));
    return seen.subarray(length);
  }

  #judgeHead(text: string): void {
    // A value may go on in the next line, which then begins with white space (RFC 9112, 5.2).
    const head = text.includes('\r\n ') || text.includes('\r\n\t') ? unfolded(text) : text;
    const lines = head.split('\r\n');
    if (lines.length > MAX_HEAD_LINES) throw new HeadTooLargeError('too many lines');
    const statusLine = STATUS_LINE.exec(lines[0] as string);
    if (statusLine === null || NO_TEXT.test(lines[0] as string))
      throw new ProtocolError('its status line is malformed');
    const statusCode = Number(statusLine[2]);
    if (statusCode < 100) throw new ProtocolError(`its status is ${statusLine[2]}`);
    // Nobody asked for another protocol.
    if (statusCode === 101) throw new ProtocolError('it switches protocols unasked');

    const headers: Record<string, string | string[]> | undefined =
      this.#onHead === undefined ? undefined : Object.create(null);
    let length: string | undefined;
    let codings: string | undefined;
    let connection = '';
    let keepAlive: string | undefined;
    let retryAfter: string | undefined;
    let location: string | undefined;
    for (let at = 1; at < lines.length; at++) {
      const line = lines[at] as string;
      const colon = line.indexOf(':');
      const name = line.slice(0, colon).toLowerCase();
      if (colon < 1 || !TOKEN.test(name) || NO_TEXT.test(line))
        throw new ProtocolError('one of its header lines is malformed');
      const value = line.slice(colon + 1).trim();
      if (headers !== undefined) add(headers, name, value);
      switch (name) {
        case 'content-length':
          if (length !== undefined) throw new ProtocolError('it has several lengths');
          length = value;
          break;
        case 'transfer-encoding':
          codings = codings === undefined ? value : `${codings},${value}`;
          break;
        case 'connection':
          connection += `,${value.toLowerCase()}`;
          break;
        case 'keep-alive':
          keepAlive ??= value;
          break;
        case 'retry-after':
          retryAfter ??= value;
          break;
        case 'location':
          location ??= value;
          break;
      }
    }
    if (length !== undefined && !/^\d{1,15}$/.test(length))
      throw new ProtocolError('its length is not a number of bytes');
    if (length !== undefined && codings !== undefined)
      throw new ProtocolError('it has a length and a transfer coding');
    if (statusCode < 200) {
      this.#interimAnswers += 1;
      if (this.#interimAnswers > MAX_INTERIM_ANSWERS) throw new InterimAnswersError();
      return;
    }
    this.#statusCode = statusCode;
    this.#retryAfter = retryAfter;
    this.#location = location;
    const old = statusLine[1] === '0';
    const stays = old ? hasToken(connection, 'keep-alive') : !hasToken(connection, 'close');
    this.#keepMs = stays ? keepMsOf(keepAlive) : 0;
    this.#expectBody(statusCode, length, codings, old);
    if (headers !== undefined) this.#onHead?.(statusCode, headers);
  }

  /** RFC 9112, 6.3. */
  #expectBody(
    statusCode: number,
    length: string | undefined,
    codings: string | undefined,
    old: boolean,
  ): void {
    if (statusCode === 204 || statusCode === 304) {
      // One that says it has a body may well send it.
      const said = codings !== undefined || (length !== undefined && statusCode === 204);
      this.#complete(said ? 0 : this.#keepMs);
    } else if (codings !== undefined) {
      const chunked = /(?:^|,)[\t ]*chunked$/i.test(codings);
      this.#state = chunked ? 'chunk size' : 'until the end';
      this.#left = 0;
      this.#digits = 0;
      if (old || !chunked) this.#keepMs = 0;
    } else if (length === undefined) {
      this.#state = 'until the end';
      this.#keepMs = 0;
    } else {
      this.#left = Number(length);
      if (this.#left === 0) this.#complete(this.#keepMs);
      else this.#state = 'length';
    }
  }

  /** Returns how many bytes came after the end of the answer. */
  #readBody(bytes: Buffer): number {
    if (this.#state === 'until the end') {
      this.#keep(bytes);
      return 0;
    }
    if (this.#state === 'length') {
      const taken = Math.min(this.#left, bytes.length);
      this.#keep(taken === bytes.length ? bytes : bytes.subarray(0, taken));
      this.#left -= taken;
      if (this.#left === 0) this.#complete(this.#keepMs);
      return bytes.length - taken;
    }
    let at = 0;
    while (at < bytes.length && !this.#isComplete()) at = this.#readChunked(bytes, at);
    return bytes.length - at;
  }

  /** Takes a step in a body of chunks (RFC 9112, 7.1), and returns where the next one begins. */
  #readChunked(bytes: Buffer, at: number): number {
    const byte = bytes[at] as number;
    switch (this.#state) {
      case 'chunk size': {
        const digit = hexValue(byte);
        if (digit === -1) {
          if (this.#digits === 0 || !(byte === CR || byte === 0x3b || byte === 0x20 || byte === 9))
            throw new ProtocolError('one of its chunks has no size');
          this.#state = 'chunk extension';
          this.#lastByte = 0;
          return at;
        }
        this.#digits += 1;
        if (this.#digits > MAX_SIZE_DIGITS)
          throw new ProtocolError('one of its chunks has too large a size');
        this.#left = this.#left * 16 + digit;
        return at + 1;
      }
      case 'chunk extension': {
        const end = this.#endOfLine(bytes, at);
        if (end === -1) return bytes.length;
        this.#state = this.#left === 0 ? 'trailers' : 'chunk';
        this.#trailerBytes = 0;
        this.#trailerLines = 0;
        this.#lastByte = 0;
        return end;
      }
      case 'chunk': {
        const taken = Math.min(this.#left, bytes.length - at);
        this.#keep(bytes.subarray(at, at + taken));
        this.#left -= taken;
        if (this.#left === 0) {
          this.#state = 'end of chunk';
          this.#lastByte = 0;
        }
        return at + taken;
      }
      case 'end of chunk':
        if (byte !== (this.#lastByte === CR ? LF : CR))
          throw new ProtocolError('one of its chunks is longer than its size');
        this.#lastByte = byte;
        if (byte === LF) {
          this.#state = 'chunk size';
          this.#digits = 0;
        }
        return at + 1;
      default: {
        const end = this.#endOfLine(bytes, at);
        const next = end === -1 ? bytes.length : end;
        this.#trailerBytes += next - at;
        if (this.#trailerBytes > MAX_HEAD_BYTES) throw new HeadTooLargeError('too many bytes');
        if (end === -1) return next;
        if (this.#trailerBytes === 2) {
          this.#complete(this.#keepMs);
          return next;
        }
        this.#trailerLines += 1;
        if (this.#trailerLines > MAX_HEAD_LINES) throw new HeadTooLargeError('too many lines');
        this.#trailerBytes = 0;
        this.#lastByte = 0;
        return next;
      }
    }
  }

  /** Returns where the next line begins, or -1 when this one goes on. */
  #endOfLine(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(LF, at);
    const last = end === -1 ? bytes.length : end;
    const before = last > at ? bytes[last - 1] : this.#lastByte;
    this.#lastByte = before as number;
    if (end === -1) return -1;
    if (before !== CR) throw new ProtocolError('one of its lines ends without a carriage return');
    return end + 1;
  }

  #keep(bytes: Buffer): void {
    if (this.#keptBytes >= EXCERPT_BYTES) return;
    const kept = bytes.subarray(0, EXCERPT_BYTES - this.#keptBytes);
    // A copy: these are a window on a socket's whole read buffer.
    this.#kept.push(Buffer.from(kept));
    this.#keptBytes += kept.length;
  }
}

/** While the receiver does not say how long it keeps a connection. */
const KEEP_MS = 4_000;
const MAX_KEEP_MS = 60_000;
/** A connection that is used when it is just about to be closed costs a webhook an attempt. */
const KEEP_MARGIN_MS = 2_000;

/** @param keepAlive of an answer, such as `timeout=5, max=100`. */
function keepMsOf(keepAlive: string | undefined): number {
  const seconds = keepAlive === undefined ? null : /(?:^|[\s,])timeout=(\d+)/i.exec(keepAlive);
  if (seconds === null) return KEEP_MS;
  return Math.max(0, Math.min(MAX_KEEP_MS, Number(seconds[1]) * 1000 - KEEP_MARGIN_MS));
}

function hasToken(list: string, token: string): boolean {
  return list !== '' && list.split(',').some((entry) => entry.trim() === token);
}

function unfolded(head: string): string {
  return head.replace(/\r\n[\t ]+/g, ' ');
}

function add(headers: Record<string, string | string[]>, name: string, value: string): void {
  const known = headers[name];
  if (known === undefined) headers[name] = value;
  else if (Array.isArray(known)) known.push(value);
  else headers[name] = [known, value];
}

function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** Text as Postgres takes it: without NUL, and with a mark where a character was cut or is none. */
function excerptOf(chunks: Buffer[]): string {
  const [first] = chunks;
  const bytes = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
  const text = bytes.toString('utf8');
  return text.includes('\0') ? text.replaceAll('\0', '') : text;
}
