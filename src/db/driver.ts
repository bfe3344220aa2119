/**
 * Everything that relies on the insides of node-postgres (pg, pg-pool, pg-protocol): its connection, the
 * bytes that it writes, and the texts of its errors. No other file does. The versions are pinned, and
 * `test/db/driver.test.ts` names the part that an upgrade has changed.
 */
import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import pg from 'pg';
import { errorMessage } from '../lib/errors.ts';
import { createAssembler, HEAD_BYTES, isPieces, valuesOf } from './big-messages.ts';

/** The kind of the message that has a row's values. */
const DATA_ROW = 0x44;
const EMPTY: Buffer = Buffer.alloc(0);

/** The parts of pg's Connection that are used here. */
export interface PrivateConnection extends EventEmitter {
  /** The socket, or the TLS stream on it. */
  readonly stream: Duplex;
  /** Called with the stream once it may carry messages; parses them and emits each under its name. */
  attachListeners(stream: unknown): void;
  /** Writes a Bind message with one call of `_send`. */
  bind(config: { statement?: string; portal?: string; values?: unknown[] }): void;
  _send(bytes: Buffer): boolean;
}

interface RowDescription {
  readonly fields: readonly { readonly format: string }[];
}

/** Returns a client's connection, which pg's types hide. */
export function connectionOf(client: pg.ClientBase): PrivateConnection {
  return (client as unknown as { connection: PrivateConnection }).connection;
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
    const connection = connectionOf(this);
    readWhole(connection);
    writeInPieces(connection);
  }
}

function readWhole(connection: PrivateConnection): void {
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
          fields: valuesOf(bytes),
        });
      else parsed.emit('data', bytes);
    });
    const source = stream as Duplex;
    source.on('data', assemble);
    source.on('end', () => parsed.emit('end'));
  };
}

function writeInPieces(connection: PrivateConnection): void {
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

const reportedSettings = new WeakMap<pg.ClientBase, Map<string, string>>();

/** Must be called before the client connects, so that `reportedSetting` knows what the server reports. */
export function noteReportedSettings(client: pg.ClientBase): void {
  const reported = new Map<string, string>();
  reportedSettings.set(client, reported);
  connectionOf(client).on(
    'parameterStatus',
    ({ parameterName, parameterValue }: { parameterName: string; parameterValue: string }) =>
      void reported.set(parameterName, parameterValue),
  );
}

/** Returns a setting that the server reports to each client by itself (ParameterStatus), or undefined. */
export function reportedSetting(client: pg.ClientBase, name: string): string | undefined {
  return reportedSettings.get(client)?.get(name);
}

/** Lets a client that has not connected yet connect to another server. */
export function moveTo(client: pg.ClientBase, host: string, port: number): void {
  Object.assign(client, { host, port });
}

/** Lets statements of those who share the client wait for each other; node-postgres will stop doing so in version 9. */
export function queryInTurn(client: pg.Client): void {
  const query = client.query.bind(client) as (...given: unknown[]) => Promise<unknown>;
  let before: Promise<unknown> = Promise.resolve();
  client.query = ((...given: unknown[]) => {
    const answer = before.then(() => query(...given));
    before = answer.catch(() => {});
    return answer;
  }) as typeof client.query;
}

/** Closes a client's connection at once, without waiting for answers. The client emits the error. */
export function cutOff(client: pg.ClientBase, reason: string): void {
  connectionOf(client).stream.destroy(new Error(`Connection terminated: ${reason}`));
}

// bigint columns are counts, sizes and ids that stay far below 2^53: clients expect numbers.
const BIGINT_OID = 20;
// A bytea in binary comes as a Buffer, which node-postgres would make a string, or as a string.
const BYTEA_OID = 17;

/** Parses values of Postgres: bigint as a number, and bytea of a binary answer as a Buffer. */
export const VALUE_PARSERS: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (oid === BIGINT_OID && format !== 'binary') return Number;
    if (oid === BYTEA_OID && format === 'binary')
      return (bytes: Buffer | string) => (typeof bytes === 'string' ? Buffer.from(bytes) : bytes);
    return pg.types.getTypeParser(oid, format as 'text');
  }) as pg.CustomTypesConfig['getTypeParser'],
};

/** Makes rows arrays, and their values binary, which pg's types do not know. For bodies: as text, a bytea has twice its size. */
export function binaryRows(statement: pg.QueryConfig): pg.QueryArrayConfig {
  return { ...statement, rowMode: 'array', binary: true } as pg.QueryArrayConfig;
}

// Errors -------------------------------------------------------------------------------------------

/** node-postgres gives its own errors no code, so they are recognized by their texts. */
const STATEMENT_NOT_ANSWERED = 'Query read timeout';
const CONNECTING_NOT_ANSWERED = 'Connection terminated due to connection timeout';
const NOT_SENT = [
  'Client was closed and is not queryable',
  'Client has encountered a connection error and is not queryable',
];
const NO_CONNECTION = [
  ...NOT_SENT,
  STATEMENT_NOT_ANSWERED,
  // Also with an addition: `unexpectedly`, `due to connection timeout`, and our own reasons (`cutOff`).
  'Connection terminated',
  'timeout expired',
  // From the pool: all connections were in use, or it was ended.
  'timeout exceeded when trying to connect',
  'Cannot use a pool after calling end on the pool',
];

const begins = (error: unknown, texts: readonly string[]) => {
  const message = errorMessage(error);
  return texts.some((text) => message.startsWith(text));
};

/** Returns true if a statement had no answer in the pool's time. */
export function isUnanswered(error: unknown): boolean {
  return begins(error, [STATEMENT_NOT_ANSWERED]);
}

/**
 * Returns true if the database was silent: a statement or a new connection had no answer. A timeout while
 * waiting for a connection in use does not count: the database may be well.
 */
export function isSilence(error: unknown): boolean {
  return begins(error, [STATEMENT_NOT_ANSWERED, CONNECTING_NOT_ANSWERED]);
}

/** Returns true if the connection was broken before the statement was sent, so it was not carried out. */
export function wasNotSent(error: unknown): boolean {
  return begins(error, NOT_SENT);
}

/** Returns true if there was no connection, or it was lost. */
export function isConnectionLost(error: unknown): boolean {
  return begins(error, NO_CONNECTION);
}

// Wrapping a pool ----------------------------------------------------------------------------------

type Connected = (error: unknown, client?: pg.PoolClient, release?: unknown) => void;

/**
 * Wraps how a pool gives out connections, to `pool.query` too: pg-pool's `query` calls `connect`, with a
 * callback.
 */
export function wrapConnect(
  pool: pg.Pool,
  wrap: (connect: () => Promise<pg.PoolClient>) => Promise<pg.PoolClient>,
): void {
  const connect = pool.connect.bind(pool) as () => Promise<pg.PoolClient>;
  pool.connect = ((callback?: Connected) => {
    const connected = wrap(connect);
    if (callback === undefined) return connected;
    connected.then(
      (client) => callback(undefined, client, client.release.bind(client)),
      (error: unknown) => callback(error),
    );
  }) as typeof pool.connect;
}

/** A statement that has ended. */
export interface Ended {
  readonly client: pg.PoolClient;
  readonly text: string;
  /** Undefined: it succeeded. */
  readonly error: unknown;
  /** True if `pool.query` ran it, which closes the connection after an error. */
  readonly byPool: boolean;
}

/** Calls `ended` after each statement on connections of a pool, before its caller gets the result. */
export function watchStatements(pool: pg.Pool, ended: (statement: Ended) => void): void {
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    client.query = ((...args: unknown[]) => {
      const text = textOf(args[0]);
      const callback = args.at(-1);
      // pg-pool's `query` passes a callback; everybody else awaits a promise.
      if (typeof callback === 'function') {
        args[args.length - 1] = (error: unknown, result: unknown) => {
          ended({ client, text, error: error ?? undefined, byPool: true });
          callback(error, result);
        };
        return query(...args);
      }
      const answer = query(...args);
      if (answer instanceof Promise)
        answer.then(
          () => ended({ client, text, error: undefined, byPool: false }),
          (error: unknown) => ended({ client, text, error, byPool: false }),
        );
      return answer;
    }) as typeof client.query;
  });
}

/**
 * Asks whether a connection answers, as `pool.query` would: for `watchStatements` it is no statement of
 * whoever uses the pool.
 */
export function ping(client: pg.PoolClient): Promise<void> {
  return new Promise((resolve, reject) => {
    client.query('select 1', (error: Error | null) => (error ? reject(error) : resolve()));
  });
}

function textOf(asked: unknown): string {
  return typeof asked === 'string' ? asked : ((asked as { text?: string }).text ?? '');
}
