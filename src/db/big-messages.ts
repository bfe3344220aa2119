import { freeBuffer } from '../lib/free-buffer.ts';

/** Smaller messages are left to node-postgres: copying them costs less than handling them here. */
const BIG_BYTES = 64 * 1024;
/** The longest message of Postgres; a greater length means that the bytes are not a message. */
const MAX_BYTES = 2 ** 30;
/** The head of a message of Postgres: its kind (1 byte) and its length (4 bytes). */
export const HEAD_BYTES = 5;
const EMPTY: Buffer = Buffer.alloc(0);

/** Several buffers that together are one parameter of a statement. */
export interface Pieces {
  readonly pieces: readonly Buffer[];
  readonly bytes: number;
  /** Joins the pieces. node-postgres calls it for connections that cannot write pieces. */
  toPostgres(): Buffer;
}

/**
 * Makes buffers, one after another, the first parameter of a statement: small ones are joined, large ones
 * are written to the socket without a copy.
 */
export function oneAfterAnother(pieces: readonly Buffer[]): Pieces | Buffer {
  const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
  const join = () => (pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces));
  return bytes < BIG_BYTES ? join() : { pieces, bytes, toPostgres: join };
}

/**
 * Assembles big messages in buffers of their size, and passes all other bytes on unchanged.
 *
 * @param give gets whole messages or parts of them, in order; `isBig` is true for a whole big message.
 */
export function createAssembler(
  give: (bytes: Buffer, isBig: boolean) => void,
): (chunk: Buffer) => void {
  /** Bytes still to come of a message that is passed on unchanged. */
  let passThrough = 0;
  let big: Buffer | undefined;
  let filled = 0;
  /** The first bytes of an incomplete message head. */
  let head = EMPTY;

  return (chunk) => {
    const bytes = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
    head = EMPTY;
    let from = 0;
    if (big !== undefined) {
      from = bytes.copy(big, filled);
      filled += from;
      if (filled < big.length) return freeBuffer(bytes);
      const whole = big;
      big = undefined;
      give(whole, true);
    }
    let at = from + passThrough;
    passThrough = 0;
    while (at + HEAD_BYTES <= bytes.length) {
      const length = 1 + bytes.readUInt32BE(at + 1);
      if (at + length > bytes.length && length >= BIG_BYTES && length <= MAX_BYTES) {
        if (at > from) give(bytes.subarray(from, at), false);
        big = Buffer.allocUnsafeSlow(length);
        filled = bytes.copy(big, 0, at);
        return;
      }
      at += length;
    }
    if (at > bytes.length) {
      passThrough = at - bytes.length;
      at = bytes.length;
    } else if (at < bytes.length) {
      head = Buffer.from(bytes.subarray(at));
    }
    if (at > from) give(bytes.subarray(from, at), false);
  };
}

/** Reads the values of a DataRow message: their number, then each with its length, -1 for null. */
export function valuesOf(message: Buffer): (Buffer | null)[] {
  let at = HEAD_BYTES + 2;
  return Array.from({ length: message.readInt16BE(HEAD_BYTES) }, () => {
    const length = message.readInt32BE(at);
    at += 4;
    if (length === -1) return null;
    at += length;
    return message.subarray(at - length, at);
  });
}

/** Returns whether a parameter is several buffers, to be written one after another. */
export function isPieces(value: unknown): value is Pieces {
  return typeof value === 'object' && value !== null && 'pieces' in value;
}
