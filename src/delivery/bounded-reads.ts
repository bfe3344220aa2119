import type { Socket } from 'node:net';
import { errors } from './undici.ts';

/**
 * What the parser is given at a time. It notices that there are too many headers with the first one
 * that is, but reads the rest of what it was given, and makes an error with a stack trace for each.
 */
const PIECE_BYTES = 1024;
/** As Node bounds heads: every byte counts. To undici names and values do, so short ones are cheap. */
const MAX_HEAD_BYTES = 16 * 1024;
/** A header costs the parser two objects, however short it is. */
const MAX_HEAD_LINES = 500;
const END_OF_HEAD = Buffer.from('\r\n\r\n');
const NEWLINE = 0x0a;
/** Where a status line has the first digit of its status, and what it is in an answer of 1xx. */
const STATUS_AT = 'HTTP/1.1 '.length;
const INTERIM = 0x31;
const NOTHING: Buffer = Buffer.alloc(0);

/**
 * Bounds what an answer costs before it is one. Five hundred receivers that sent 5,000 headers each
 * held a process up for 28 s and took 600 MB of it. What is read is judged before it is parsed, and
 * the connection ended when the head of the answer has more than 16 KiB or 500 lines.
 *
 * @param socket on which undici writes requests, each head as a string.
 */
export function boundReads(socket: Socket): Socket {
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null;
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  let unparsed = NOTHING;
  let inHead = true;
  let bytes = 0;
  let lines = 0;
  let interim = false;
  /** The last of what came before, in which the end of the head may begin. */
  let tail = NOTHING;

  function beginHead(): void {
    inHead = true;
    bytes = 0;
    lines = 0;
    interim = false;
    tail = NOTHING;
  }

  /** Returns whether there is too much of a head in what has come. */
  function isTooMuch(chunk: Buffer): boolean {
    for (let rest = chunk; inHead && rest.length > 0; ) {
      const status = rest[STATUS_AT - bytes];
      if (bytes <= STATUS_AT && status !== undefined) interim = status === INTERIM;
      const seen = tail.length === 0 ? rest : Buffer.concat([tail, rest]);
      const end = seen.indexOf(END_OF_HEAD);
      const length = end === -1 ? rest.length : end + END_OF_HEAD.length - tail.length;
      bytes += length;
      for (
        let at = rest.indexOf(NEWLINE);
        at !== -1 && at < length;
        at = rest.indexOf(NEWLINE, at + 1)
      )
        lines += 1;
      if (bytes > MAX_HEAD_BYTES || lines > MAX_HEAD_LINES) return true;
      tail = seen.subarray(1 - END_OF_HEAD.length);
      rest = rest.subarray(length);
      if (end === -1) continue;
      // After an answer of 1xx comes the next head; after any other its body.
      const another = interim;
      beginHead();
      inHead = another;
    }
    return false;
  }

  socket.read = (size?: number) => {
    // Node itself reads nothing, to begin reading from the system.
    if (size !== undefined) return read(size);
    if (socket.destroyed) return null;
    if (unparsed.length === 0) {
      const chunk = read();
      if (chunk === null) return null;
      if (inHead && isTooMuch(chunk)) {
        socket.destroy(new errors.HeadersOverflowError());
        return null;
      }
      if (chunk.length <= PIECE_BYTES) return chunk;
      unparsed = chunk;
    }
    const piece = unparsed.subarray(0, PIECE_BYTES);
    unparsed = unparsed.subarray(PIECE_BYTES);
    return piece;
  };
  socket.write = (...args: unknown[]) => {
    if (typeof args[0] === 'string') beginHead();
    return write(...args);
  };
  return socket;
}
