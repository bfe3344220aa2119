import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import pg from 'pg';
import { freeNow } from '../lib/free-now.ts';

/** Smaller messages are node-postgres's own business: to copy them costs less than to take care. */
const BIG_BYTES = 64 * 1024;
/** Postgres has none that are longer; whatever says so is no message. */
const MAX_BYTES = 2 ** 30;
/** A message's kind, and how long it is. */
const HEAD_BYTES = 5;
const DATA_ROW = 0x44;
const NOTHING: Buffer = Buffer.alloc(0);

/** Bytes that lie in several places, as one parameter of a statement. */
export interface Pieces {
  readonly pieces: readonly Buffer[];
  readonly bytes: number;
  /** What node-postgres makes of it where nobody writes the pieces as they are. */
  toPostgres(): Buffer;
}

/**
 * Buffers one behind the other, for the first parameter of a statement: written from where they lie
 * if they are large, and put together otherwise.
 */
export function oneAfterAnother(pieces: readonly Buffer[]): Pieces | Buffer {
  const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
  const together = () => (pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces));
  return bytes < BIG_BYTES ? together() : { pieces, bytes, toPostgres: together };
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
 * A client that holds big values once. node-postgres copies a parameter into a buffer that grows, and
 * an answer into one that doubles, then into a string and back: eight times the bytes of a body of
 * 256 KiB, all of it garbage outside of V8's heap, which V8 is in no hurry to collect.
 *
 * In a big row of a binary answer the values are windows on the message, so ask for `rowMode: 'array'`:
 * rows as objects are copied once more.
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
    const take = createAssembler((bytes, isBig) => {
      if (isBig && binary && bytes[0] === DATA_ROW)
        connection.emit('dataRow', {
          name: 'dataRow',
          length: bytes.length,
          fields: fieldsOf(bytes),
        });
      else parsed.emit('data', bytes);
    });
    const source = stream as Duplex;
    source.on('data', take);
    source.on('end', () => parsed.emit('end'));
  };
}

/**
 * Puts big messages together in buffers of their size; everything else goes on as it comes.
 *
 * @param give gets whole messages or parts of them, in order, and whether it is a big one, whole.
 */
export function createAssembler(
  give: (bytes: Buffer, isBig: boolean) => void,
): (chunk: Buffer) => void {
  /** Of a message that goes on as it comes, what is yet to come. */
  let passing = 0;
  let big: Buffer | undefined;
  let filled = 0;
  /** The beginning of a head. */
  let held = NOTHING;

  return (chunk) => {
    const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    held = NOTHING;
    let from = 0;
    if (big !== undefined) {
      from = bytes.copy(big, filled);
      filled += from;
      if (filled < big.length) return freeNow(bytes);
      const whole = big;
      big = undefined;
      give(whole, true);
    }
    let at = from + passing;
    passing = 0;
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
      passing = at - bytes.length;
      at = bytes.length;
    } else if (at < bytes.length) {
      held = Buffer.from(bytes.subarray(at));
    }
    if (at > from) give(bytes.subarray(from, at), false);
  };
}

/** The values of a row: their number, then each with its length, -1 for null. */
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
    // Behind the message's head, both names with a zero each, and the formats of the parameters.
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
      bind({ ...config, values: [NOTHING, ...others] });
    } finally {
      connection._send = send;
    }
  };
}

function isPieces(value: unknown): value is Pieces {
  return typeof value === 'object' && value !== null && 'pieces' in value;
}
