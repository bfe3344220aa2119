import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import pg from 'pg';
import { freeNow } from '../lib/free-now.ts';

/** Smaller messages are left to node-postgres: copying them costs less than handling them here. */
const BIG_BYTES = 64 * 1024;
/** The longest message of Postgres; a greater length means that the bytes are not a message. */
const MAX_BYTES = 2 ** 30;
/** The head of a message: its kind (1 byte) and its length (4 bytes). */
const HEAD_BYTES = 5;
const DATA_ROW = 0x44;
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

/** The part of node-postgres's connection that is changed here. */
interface Connection extends EventEmitter {
  readonly stream: Duplex;
  attachListeners(stream: unknown): void;
  bind(config: { statement?: string; portal?: string; values?: unknown[] }): void;
  _send(bytes: Buffer): boolean;
}

interface RowDescription {
  readonly fields: readonly { readonly format: string }[];
}

/**
 * A client that holds big values once. node-postgres copies a parameter into a growing buffer, and an
 * answer into a doubling one, then into a string and back. For a body of 256 KiB that is eight times its
 * bytes, all garbage outside of V8's heap, which V8 collects late.
 *
 * In a big row of a binary answer the values are views of the message. Use `rowMode: 'array'`: rows as
 * objects are copied once more.
 */
export class FrugalClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    const { connection } = this as unknown as { connection: Connection };
    readWhole(connection);
    writeInPieces(connection);
  }
}

function readWhole(connection: Connection): void {
  const attach = connection.attachListeners.bind(connection);
  let binary = false;
  connection.on('rowDescription', ({ fields }: RowDescription) => {
    binary = fields.every(({ format }) => format === 'binary');
  });
  connection.attachListeners = (stream) => {
    const parsed = new EventEmitter();
    attach(parsed);
    const assemble = createAssembler((bytes, isBig) => {
      if (isBig && binary && bytes[0] === DATA_ROW)
        connection.emit('dataRow', {
          name: 'dataRow',
          length: bytes.length,
          fields: fieldsOf(bytes),
        });
      else parsed.emit('data', bytes);
    });
    const source = stream as Duplex;
    source.on('data', assemble);
    source.on('end', () => parsed.emit('end'));
  };
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
      if (filled < big.length) return freeNow(bytes);
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
function fieldsOf(message: Buffer): (Buffer | null)[] {
  let at = HEAD_BYTES + 2;
  return Array.from({ length: message.readInt16BE(HEAD_BYTES) }, () => {
    const length = message.readInt32BE(at);
    at += 4;
    if (length === -1) return null;
    at += length;
    return message.subarray(at - length, at);
  });
}

function writeInPieces(connection: Connection): void {
  const bind = connection.bind.bind(connection);
  const send = connection._send.bind(connection);
  connection.bind = (config) => {
    const [first, ...others] = config.values ?? [];
    if (!isPieces(first)) return bind(config);
    const { portal = '', statement = '' } = config;
    // The offset of the first value: after the head, both names with a zero byte each, and the parameter formats.
    const at =
      HEAD_BYTES +
      Buffer.byteLength(portal) +
      Buffer.byteLength(statement) +
      2 +
      (2 + 2 * (others.length + 1)) +
      2;
    connection._send = (message) => {
      message.writeInt32BE(message.readInt32BE(1) + first.bytes, 1);
      message.writeInt32BE(first.bytes, at);
      const { stream } = connection;
      if (!stream.writable) return false;
      stream.write(message.subarray(0, at + 4));
      for (const piece of first.pieces) stream.write(piece);
      return stream.write(message.subarray(at + 4));
    };
    try {
      bind({ ...config, values: [EMPTY, ...others] });
    } finally {
      connection._send = send;
    }
  };
}

function isPieces(value: unknown): value is Pieces {
  return typeof value === 'object' && value !== null && 'pieces' in value;
}
