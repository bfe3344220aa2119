import type { Socket } from 'node:net';
import type { buildConnector } from 'undici';
import { unbracketed } from './address-guard.ts';
import { AnswerReader, type HttpAnswer, type OnHead } from './answer-reader.ts';

/** What is kept open for requests to come; more would take the file handles that others need. */
const MAX_IDLE = 2_000;
const SWEEP_EVERY_MS = 1_000;

/** Who waits for an answer, and is told once how that ended. */
export interface Asker {
  /** Told of the head of the answer as soon as it is there. */
  readonly onHead: OnHead | undefined;
  /** @param sent whether the request had left this process as a whole. */
  answered(answer: HttpAnswer, sent: boolean): void;
  /** @param reason what the socket threw, ConnectionClosedError, or what `AnswerReader` throws. */
  failed(reason: unknown): void;
  /**
   * The connection, which had been kept from a request before, ended without a byte of an answer. The
   * receiver may have closed it before it knew of this request.
   */
  unheard(): void;
}

/** The receiver closed the connection before it had answered in full. */
export class ConnectionClosedError extends Error {
  override readonly name = 'ConnectionClosedError';
}

/** Open connections to receivers, one request at a time on each. */
export class Connections {
  readonly #all = new Set<Connection>();
  /** Those without a request, by origin, the one that was used last at the end. */
  readonly #idle = new Map<string, Connection[]>();
  #idleCount = 0;
  #sweeping: NodeJS.Timeout | undefined;
  #closed = false;

  /** Takes one that is open and idle, the one that was used last. */
  take(origin: string): Connection | undefined {
    const idle = this.#idle.get(origin);
    for (;;) {
      const connection = idle?.pop();
      if (connection === undefined) return undefined;
      const { idleUntil } = connection;
      connection.idleUntil = 0;
      this.#idleCount -= 1;
      if (idleUntil > performance.now()) return connection;
      connection.destroy();
    }
  }

  /**
   * Makes one.
   *
   * @param done called once, with a connection that is the caller's until its request has ended; not
   *   called any more once these are closed.
   */
  open(
    connect: buildConnector.connector,
    url: URL,
    done: (error: Error | null, connection: Connection | null) => void,
  ): void {
    const { hostname, host, protocol, port } = url;
    connect({ hostname: unbracketed(hostname), host, protocol, port }, (error, socket) => {
      if (this.#closed) {
        socket?.destroy();
        return;
      }
      if (socket === null) {
        done(error, null);
        return;
      }
      const connection = new Connection(url.origin, socket, this);
      this.#all.add(connection);
      done(null, connection);
    });
  }

  /** Takes back one whose request has ended. */
  release(connection: Connection, keepMs: number): void {
    if (this.#closed || keepMs === 0 || this.#idleCount >= MAX_IDLE) {
      connection.destroy();
      return;
    }
    connection.idleUntil = performance.now() + keepMs;
    this.#idleCount += 1;
    const others = this.#idle.get(connection.origin);
    if (others === undefined) this.#idle.set(connection.origin, [connection]);
    else others.push(connection);
    if (this.#sweeping !== undefined) return;
    this.#sweeping = setInterval(() => this.#sweep(), SWEEP_EVERY_MS);
    this.#sweeping.unref();
  }

  forget(connection: Connection): void {
    this.#all.delete(connection);
    if (connection.idleUntil === 0) return;
    connection.idleUntil = 0;
    this.#idleCount -= 1;
    const idle = this.#idle.get(connection.origin);
    idle?.splice(idle.indexOf(connection), 1);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#sweeping);
    for (const connection of this.#all) connection.destroy();
  }

  #sweep(): void {
    const now = performance.now();
    for (const [origin, idle] of this.#idle) {
      for (const connection of [...idle]) if (connection.idleUntil <= now) connection.destroy();
      if (idle.length === 0) this.#idle.delete(origin);
    }
    if (this.#idle.size > 0) return;
    clearInterval(this.#sweeping);
    this.#sweeping = undefined;
  }
}

/** A connection to a receiver. What it says unasked ends it. */
export class Connection {
  readonly origin: string;
  /** Until when it may be idle, by the monotonic clock; 0 while it is not. */
  idleUntil = 0;
  readonly #socket: Socket;
  readonly #connections: Connections;
  readonly #reader = new AnswerReader();
  #asker: Asker | null = null;
  #requests = 0;
  #heard = false;

  constructor(origin: string, socket: Socket, connections: Connections) {
    this.origin = origin;
    this.#socket = socket;
    this.#connections = connections;
    socket.on('data', (bytes: Buffer) => this.#onData(bytes));
    socket.on('end', () => this.#onEnd());
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => {
      connections.forget(this);
      this.#onEnd();
    });
  }

  send(pieces: readonly Buffer[], asker: Asker): void {
    this.#asker = asker;
    this.#requests += 1;
    this.#heard = false;
    this.#reader.begin(asker.onHead);
    if (pieces.length > 1) this.#socket.cork();
    for (const piece of pieces) this.#socket.write(piece);
    if (pieces.length > 1) this.#socket.uncork();
  }

  /** Ends it, and tells nobody. */
  destroy(): void {
    this.#asker = null;
    this.#connections.forget(this);
    this.#socket.destroy();
  }

  #onData(bytes: Buffer): void {
    if (this.#asker === null) {
      this.destroy();
      return;
    }
    this.#heard = true;
    let complete: boolean;
    try {
      complete = this.#reader.push(bytes);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (complete) this.#succeed();
  }

  #onEnd(): void {
    if (this.#asker === null) this.destroy();
    else if (this.#reader.end()) this.#succeed();
    else this.#fail(new ConnectionClosedError());
  }

  #succeed(): void {
    const asker = this.#asker as Asker;
    this.#asker = null;
    const { answer, keepMs } = this.#reader;
    const sent = this.#socket.writableLength === 0;
    // A request that is not read to its end leaves nothing that another could follow.
    this.#connections.release(this, sent ? keepMs : 0);
    asker.answered(answer, sent);
  }

  #fail(reason: unknown): void {
    const asker = this.#asker;
    this.destroy();
    if (this.#requests > 1 && !this.#heard) asker?.unheard();
    else asker?.failed(reason);
  }
}
