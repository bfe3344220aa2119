import { NO_TEXT, TOKEN } from '../lib/http-syntax.ts';

/** As Node bounds heads. */
export const MAX_HEAD_BYTES = 16 * 1024;
export const MAX_HEAD_LINES = 500;
const STATUS_LINE = /^HTTP\/1\.([01]) (\d{3})(?: .*)?$/;

/** What an answer said in its head. Names are in lower case. */
export type AnswerHeaders = Readonly<Record<string, string | string[]>>;

/** What the receiver said is not HTTP/1.1. Its message says what was wrong, as a clause. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** The head of an answer, or its trailers, have more bytes or lines than are read. */
export class HeadTooLargeError extends Error {
  override readonly name = 'HeadTooLargeError';
}

/** The head of an answer, and what follows from it. */
export interface AnswerHead {
  readonly statusCode: number;
  readonly retryAfter: string | undefined;
  readonly location: string | undefined;
  readonly headers: AnswerHeaders | undefined;
  /** Where its body ends: after so many bytes, after the last chunk, or with the connection. */
  readonly body: number | 'chunked' | 'until the end';
  /** How long the connection may be kept for another request, in milliseconds; 0: not at all. */
  readonly keepMs: number;
}

/**
 * Reads a head (RFC 9112, 4 and 5), without the empty line at its end.
 *
 * @param withHeaders whether all headers are wanted, rather than those that matter here.
 * @throws ProtocolError, HeadTooLargeError
 */
export function readAnswerHead(text: string, withHeaders: boolean): AnswerHead {
  // A value may go on in the next line, which then begins with white space (RFC 9112, 5.2).
  const head = text.includes('\r\n ') || text.includes('\r\n\t') ? unfolded(text) : text;
  const lines = head.split('\r\n');
  if (lines.length > MAX_HEAD_LINES) throw new HeadTooLargeError();
  const statusLine = STATUS_LINE.exec(lines[0] as string);
  if (statusLine === null || NO_TEXT.test(lines[0] as string))
    throw new ProtocolError('its status line is malformed');
  const statusCode = Number(statusLine[2]);
  if (statusCode < 100) throw new ProtocolError(`its status is ${statusLine[2]}`);
  // Nobody asked for another protocol.
  if (statusCode === 101) throw new ProtocolError('it switches protocols unasked');

  const headers: Record<string, string | string[]> | undefined = withHeaders
    ? Object.create(null)
    : undefined;
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
  const old = statusLine[1] === '0';
  const stays = old ? hasToken(connection, 'keep-alive') : !hasToken(connection, 'close');
  const keepMs = stays ? keepMsOf(keepAlive) : 0;
  const said = { statusCode, retryAfter, location, headers };
  return { ...said, ...bodyOf(statusCode, length, codings, old, keepMs) };
}

/** RFC 9112, 6.3. */
function bodyOf(
  statusCode: number,
  length: string | undefined,
  codings: string | undefined,
  old: boolean,
  keepMs: number,
): Pick<AnswerHead, 'body' | 'keepMs'> {
  if (statusCode === 204 || statusCode === 304) {
    // One that says it has a body may well send it.
    const said = codings !== undefined || (length !== undefined && statusCode === 204);
    return { body: 0, keepMs: said ? 0 : keepMs };
  }
  if (codings !== undefined) {
    const chunked = /(?:^|,)[\t ]*chunked$/i.test(codings);
    return { body: chunked ? 'chunked' : 'until the end', keepMs: old || !chunked ? 0 : keepMs };
  }
  if (length === undefined) return { body: 'until the end', keepMs: 0 };
  return { body: Number(length), keepMs };
}

/** While the receiver does not say how long it keeps a connection. */
const KEEP_MS = 4_000;
const MAX_KEEP_MS = 60_000;
/** A request on a connection that is just about to be closed has to be made again. */
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
