import pg from 'pg';
import type { Logger } from 'pino';
import { errorMessage } from '../lib/errors.ts';
import type { Loop } from '../lib/loop-health.ts';
import { queryInTurn } from './driver.ts';
import { endSoon } from './end-soon.ts';
import { HostClient } from './host-client.ts';
import { connectionConfig } from './pool.ts';
import { configure } from './session-settings.ts';

const HEARTBEAT_MS = 15_000;
const HEARTBEAT_TIMEOUT_MS = 5_000;
const RECONNECT_MIN_MS = 100;
/** Other workers consider a worker without a session dead, so the session must come back soon. */
const RECONNECT_MAX_MS = 1_000;

export interface SessionOptions {
  readonly databaseUrl: string;
  readonly purpose: string;
  /** Told whether reconnecting succeeds or fails. */
  readonly loop: Loop;
  readonly log: Logger;
}

/** One lasting connection for LISTEN, and for the advisory locks that show that a process is alive. */
export interface Session {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** True while notifications arrive. */
  readonly connected: boolean;
  /** For how long notifications have arrived without a break; 0 while they do not. */
  readonly connectedForMs: number;
  /** Listens on a channel, now and after every reconnection. Before `start`. */
  listen(channel: string, onNotification: (payload: string) => void): void;
  /** Runs on every new connection before it counts as connected. Before `start`. */
  onConnect(prepare: (client: pg.Client) => Promise<void>): void;
  /** Called each time the connection is lost. Before `start`. */
  onLost(lost: () => void): void;
}

/** Stands for a session where a pooler gives none: it is never connected, and nothing is notified. */
export const NO_SESSION: Session = {
  connected: false,
  connectedForMs: 0,
  async start() {},
  async stop() {},
  listen() {},
  onConnect() {},
  onLost() {},
};

/**
 * Keeps one database session open and reconnects with growing delays. A heartbeat finds connections whose
 * other end has gone without closing them.
 */
export function createSession({ databaseUrl, purpose, loop, log }: SessionOptions): Session {
  const channels = new Map<string, ((payload: string) => void)[]>();
  const preparations: ((client: pg.Client) => Promise<void>)[] = [];
  const losses: (() => void)[] = [];
  let client: pg.Client | undefined;
  let connected = false;
  let connectedAt = 0;
  let pid: number;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let delayMs = RECONNECT_MIN_MS;

  async function connect(): Promise<void> {
    const fresh = new HostClient({
      ...connectionConfig(databaseUrl, purpose),
      query_timeout: HEARTBEAT_TIMEOUT_MS,
    });
    queryInTurn(fresh);
    const lose = (reason: unknown) => {
      // While connecting, the caller gets the error.
      if (client !== fresh || !connected) return;
      client = undefined;
      connected = false;
      fresh.end().catch(() => {});
      if (stopped) return;
      log.warn({ purpose, reason: errorMessage(reason) }, 'database session lost; reconnecting');
      for (const lost of losses) lost();
      reconnectLater();
    };
    fresh.on('error', lose);
    fresh.on('end', () => lose('connection ended'));
    fresh.on('notification', ({ channel, payload }) => {
      for (const onNotification of channels.get(channel) ?? []) onNotification(payload ?? '');
    });
    client = fresh;
    try {
      await fresh.connect();
      await configure(fresh);
      pid = await backendPid(fresh);
      for (const channel of channels.keys())
        await fresh.query(`listen ${pg.escapeIdentifier(channel)}`);
      for (const prepare of preparations) await prepare(fresh);
    } catch (error) {
      // The caller (first connection) or the timer (later ones) decides what to do next.
      if (client === fresh) client = undefined;
      fresh.end().catch(() => {});
      throw error;
    }
    connected = true;
    connectedAt = performance.now();
    delayMs = RECONNECT_MIN_MS;
    beat(fresh, lose);
  }

  function beat(current: pg.Client, lose: (reason: unknown) => void): void {
    timer = setTimeout(async () => {
      try {
        if ((await backendPid(current)) !== pid)
          return lose('a pooler gives this session to others: it must not share sessions');
        if (client === current) beat(current, lose);
      } catch (error) {
        lose(error);
      }
    }, HEARTBEAT_MS);
    timer.unref();
  }

  function reconnectLater(): void {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      if (stopped) return;
      try {
        await connect();
        loop.succeeded();
        log.info({ purpose }, 'database session is back');
      } catch (error) {
        loop.failed(error);
        reconnectLater();
      }
    }, delayMs);
    delayMs = Math.min(RECONNECT_MAX_MS, delayMs * 2);
  }

  return {
    start: connect,
    async stop() {
      stopped = true;
      clearTimeout(timer);
      connected = false;
      if (client !== undefined) await endSoon(client.end().catch(() => {}));
    },
    get connected() {
      return connected;
    },
    get connectedForMs() {
      return connected ? performance.now() - connectedAt : 0;
    },
    listen(channel, onNotification) {
      channels.set(channel, [...(channels.get(channel) ?? []), onNotification]);
    },
    onConnect: (prepare) => void preparations.push(prepare),
    onLost: (lost) => void losses.push(lost),
  };
}

/** Returns which process of Postgres serves the client. It stays the same, unless a pooler shares sessions. */
async function backendPid(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return rows[0]?.pid as number;
}
