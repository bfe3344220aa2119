import type { Socket } from 'node:net';
import { unbracketed } from './address-guard.ts';
import { AnswerReader, type CutOff, type HttpAnswer, type OnHead } from './answer-reader.ts';
import type { Connect } from './connector.ts';
import type { PhaseClock } from './phase-clock.ts';
import { hasUnread } from './unread.ts';

/** The most idle connections kept open; more would use up file handles. */
const MAX_IDLE = 2_000;
const SWEEP_EVERY_MS = 1_000;
/** A receiver that has just answered does not give the connection up; no server waits so little. */
const SILENT_MS = 5;

/** Waits for an answer; exactly one of `answered`, `failed` and `stale` is called. */
export interface Requester {
  /** Called with the head of the answer as soon as it has arrived. */
  readonly onHead: OnHead | undefined;
  /** Told when the head of the answer has arrived. */
  readonly clock: PhaseClock | undefined;
  /** @param sent whether the whole request had left this process. */
  answered(answer: HttpAnswer, sent: boolean): void;
  /** @param reason what the socket threw, ConnectionClosedError, or what `AnswerReader` throws. */
  failed(reason: unknown): void;
  /**
   * The connection, kept from an earlier request, ended without a byte of an answer, or with a 408 that
   * closes it. The receiver most likely closed it before it saw this request.
   */
  unheard(): void;
}

/** The receiver closed the connection before it sent a status. */
export class ConnectionClosedError extends Error {
  override readonly name = 'ConnectionClosedError';
}

/** Open connections to receivers, one request at a time on each. */
export class Connections {
  readonly #all = new Set<Connection>();
  /** Idle connections by origin, the one used last at the end. */
  readonly #idle = new Map<string, Connection[]>();
  #idleCount = 0;
  #sweeping: NodeJS.Timeout | undefined;
  #closed = false;

  /** Takes the idle connection used last, if it is open and has received nothing. */
  take(origin: string): Connection | undefined {
    const idle = this.#idle.get(origin);
    for (;;) {
      const connection = idle?.pop();
      if (connection === undefined) return undefined;
      const { idleSince, idleUntil } = connection;
      connection.idleUntil = 0;
      this.#idleCount -= 1;
      const now = performance.now();
      if (idleUntil > now && (now - idleSince < SILENT_MS || !connection.hasUnread()))
        return connection;
      connection.destroy();
    }
  }

  /**
   * Makes one.
   *
   * @param owner on whose behalf.
   * @param clock told when the phases of connecting begin.
   * @param done called once, with a connection that is the caller's until its request has ended; not
   *   called any more once these are closed.
   */
  open(
    connect: Connect,
    url: URL,
    owner: string,
    clock: PhaseClock | undefined,
    done: (error: Error | null, connection: Connection | null) => void,
  ): void {
    const { hostname, host, protocol, port } = url;
    const target = { hostname: unbracketed(hostname), host, protocol, port, owner, clock };
    connect(target, (error, socket) => {
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

  /** Takes back a connection whose request has ended. */
  release(connection: Connection, keepMs: number): void {
    if (this.#closed || keepMs === 0 || this.#idleCount >= MAX_IDLE) {
      connection.destroy();
      return;
    }
    connection.idleSince = performance.now();
    connection.idleUntil = connection.idleSince + keepMs;
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

/** The status by which a receiver says that it no longer waits for a request (RFC 9110, 15.5.9). */
const REQUEST_TIMEOUT = 408;

/** A connection to a receiver. Bytes that arrive without a request end it. */
export class Connection {
  readonly origin: string;
  idleSince = 0;
  /** Until when it may be idle, by the monotonic clock; 0 while it has a request. */
  idleUntil = 0;
  readonly #socket: Socket;
  readonly #connections: Connections;
  readonly #reader = new AnswerReader();
  #requester: Requester | null = null;
  #requests = 0;
  #heard = false;

  constructor(origin: string, socket: Socket, connections: Connections) {
    this.origin = origin;
    this.#socket = socket;
    this.#connections = connections;
    socket.on('data', (bytes: Buffer) => this.#onData(bytes));
    socket.on('end', () => this.#onEnd());
    socket.on('error', (error) => this.#fail(error, 'broken'));
    socket.on('close', () => {
      connections.forget(this);
      this.#onEnd();
    });
  }

  /**
   * Returns whether bytes have arrived that nobody has read. It was sent before any request that follows, so it
   * cannot be the answer to it. To be used while idle, and no more after `true`.
   */
  hasUnread(): boolean {
    return hasUnread(this.#socket);
  }

  send(pieces: readonly Buffer[], requester: Requester): void {
    this.#requester = requester;
    this.#requests += 1;
    this.#heard = false;
    this.#reader.begin(requester.onHead, requester.clock);
    if (pieces.length > 1) this.#socket.cork();
    for (const piece of pieces) this.#socket.write(piece);
    if (pieces.length > 1) this.#socket.uncork();
  }

  /** Ends it. Its request is answered if the head of an answer has arrived, and fails otherwise. */
  end(reason: unknown, why: CutOff): void {
    if (this.#requester !== null && this.#reader.end(why)) this.#succeed();
    else {
      const requester = this.#requester;
      this.destroy();
      requester?.failed(reason);
    }
  }

  /** Ends it without a callback. */
  destroy(): void {
    this.#requester = null;
    this.#connections.forget(this);
    this.#socket.destroy();
  }

  #onData(bytes: Buffer): void {
    if (this.#requester === null) {
      this.destroy();
      return;
    }
    this.#heard = true;
    let complete: boolean;
    try {
      complete = this.#reader.push(bytes);
    } catch (error) {
      this.#fail(error, 'malformed');
      return;
    }
    if (
      this.#requests > 1 &&
      this.#reader.statusCode === REQUEST_TIMEOUT &&
      this.#reader.keepMs === 0
    )
      this.#resend();
    else if (complete) this.#succeed();
  }

  #onEnd(): void {
    if (this.#requester === null) this.destroy();
    else this.#fail(new ConnectionClosedError(), 'closed');
  }

  #succeed(): void {
    const requester = this.#requester as Requester;
    this.#requester = null;
    const { answer, keepMs } = this.#reader;
    const sent = this.#socket.writableLength === 0;
    // If the receiver has not read the whole request, no other can follow.
    this.#connections.release(this, sent ? keepMs : 0);
    requester.answered(answer, sent);
  }

  #fail(reason: unknown, why: CutOff): void {
    if (this.#requests > 1 && !this.#heard) this.#resend();
    else this.end(reason, why);
  }

  #resend(): void {
    const requester = this.#requester;
    this.destroy();
    requester?.unheard();
  }
}
