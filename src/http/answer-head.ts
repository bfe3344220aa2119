/** The limit for all heads of an answer together, interim ones (1xx) included: 60 cookies of 4 KiB fit. */
export const MAX_HEAD_BYTES = 256 * 1024;

/** The head of an answer. Names are in lower case. */
export type AnswerHeaders = Readonly<Record<string, string | string[]>>;

/** The answer has no valid HTTP/1.1 status. The message says why, as a clause. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** The head of an answer is larger than the limit. */
export class HeadTooLargeError extends Error {
  override readonly name = 'HeadTooLargeError';
}

/** The head of an answer, and how to read on. */
export interface AnswerHead {
  readonly statusCode: number;
  readonly retryAfter: string | undefined;
  readonly location: string | undefined;
  readonly headers: AnswerHeaders | undefined;
  /**
   * Where the body ends: after a number of bytes, after the last chunk, or with the connection. If its length
   * is not valid, the end is unknown, and only the bytes that came with the head are read.
   */
  readonly body: number | 'chunked' | 'until the end' | 'unclear';
  /** How long the connection may be kept for another request, in milliseconds; 0: not at all. */
  readonly keepMs: number;
}

/** A status in any spelling that clients accept: Python `HTTP/1.1 +0200`, curl `HTTP/2 200`, browsers `ICY 200`. */
const STATUS_LINE = /^(?:HTTP[!-~]*|ICY)[^!-~\n]+\+?0*([1-9]\d\d)(?!\d)/i;

/** The lengths of the names that are read below: headers with other lengths are skipped without a string. */
const READ_LENGTHS = new Set(
  'content-length transfer-encoding connection keep-alive retry-after location'
    .split(' ')
    .map(({ length }) => length),
);

/** A head exactly as in RFC 9112, 4 and 5, except that the reason and its space may be missing. */
const REGULAR =
  /^HTTP\/1\.[01] \d{3}(?: [\t\x20-\x7e\x80-\xff]*)?(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*)*\r\n\r\n$/;

/** Returns the status at the beginning of a head, if there is one. */
export function statusOf(text: string): number | undefined {
  const status = STATUS_LINE.exec(text)?.[1];
  return status === undefined ? undefined : Number(status);
}

/**
 * Reads a head. Only the status is required. An irregular head can be read in two ways, and so can the end of
 * its body, so its connection is not kept.
 *
 * @param text from the status line on, with the empty line at its end if that has arrived.
 * @param withHeaders whether to read all headers, not only those that are used here.
 * @throws ProtocolError when it has no status.
 */
export function readAnswerHead(text: string, withHeaders: boolean): AnswerHead {
  const statusCode = statusOf(text);
  if (statusCode === undefined)
    throw new ProtocolError('it does not begin with a status line and a status from 100 on');
  const regular = REGULAR.test(text);
  // A value may continue in the next line, which then begins with white space (RFC 9112, 5.2).
  const lines = regular ? text : text.replace(/\n[\t ]+/g, ' ');

  const headers: Record<string, string | string[]> | undefined = withHeaders
    ? Object.create(null)
    : undefined;
  let length: string | undefined;
  let codings: string | undefined;
  let connection = '';
  let keepAlive: string | undefined;
  let retryAfter: string | undefined;
  let location: string | undefined;
  let colon = 0;
  for (let end = lines.indexOf('\n'); end !== -1; ) {
    const start = end + 1;
    end = lines.indexOf('\n', start);
    if (colon < start) colon = lines.indexOf(':', start);
    if (colon === -1) break;
    // A line without a colon is ignored.
    if (end !== -1 && colon > end) continue;
    if (regular && headers === undefined && !READ_LENGTHS.has(colon - start)) continue;
    const name = lines.slice(start, colon).trimEnd().toLowerCase();
    const value = lines.slice(colon + 1, end === -1 ? undefined : end).trim();
    if (headers !== undefined) add(headers, name, value);
    switch (name) {
      case 'content-length':
        length = length === undefined ? value : `${length},${value}`;
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
  const old = lines.startsWith('HTTP/1.0');
  const stays = old ? hasToken(connection, 'keep-alive') : !hasToken(connection, 'close');
  const keepMs = regular && stays ? keepMsOf(keepAlive) : 0;
  const said = { statusCode, retryAfter, location, headers };
  return { ...said, ...bodyOf(statusCode, length, codings, old, keepMs) };
}

/** RFC 9112, 6.3; of several lengths, the least that is a number. */
function bodyOf(
  statusCode: number,
  length: string | undefined,
  codings: string | undefined,
  old: boolean,
  keepMs: number,
): Pick<AnswerHead, 'body' | 'keepMs'> {
  if (statusCode === 101) return { body: 0, keepMs: 0 };
  if (statusCode === 204 || statusCode === 304) {
    // A receiver that announces a body may send it, whatever the status.
    const said = codings !== undefined || (length !== undefined && statusCode === 204);
    return { body: 0, keepMs: said ? 0 : keepMs };
  }
  if (codings !== undefined && CHUNKED_LAST.test(codings))
    return {
      body: 'chunked',
      keepMs: old || length !== undefined || codings.length > 'chunked'.length ? 0 : keepMs,
    };
  if (length === undefined) return { body: 'until the end', keepMs: 0 };
  if (LENGTH.test(length))
    return { body: Number(length), keepMs: codings === undefined ? keepMs : 0 };
  let least = Number.POSITIVE_INFINITY;
  for (const entry of length.split(','))
    if (LENGTH.test(entry.trim())) least = Math.min(least, Number(entry));
  return { body: Number.isFinite(least) ? least : 'unclear', keepMs: 0 };
}

const LENGTH = /^\d{1,15}$/;
const CHUNKED_LAST = /(?:^|,)[\t ]*chunked$/i;

/** Used if the receiver does not say how long it keeps a connection. */
const KEEP_MS = 4_000;
const MAX_KEEP_MS = 60_000;
/** Subtracted from that time, since a request on a connection that is about to close must be repeated. */
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

function add(headers: Record<string, string | string[]>, name: string, value: string): void {
  const known = headers[name];
  if (known === undefined) headers[name] = value;
  else if (Array.isArray(known)) known.push(value);
  else headers[name] = [known, value];
}
