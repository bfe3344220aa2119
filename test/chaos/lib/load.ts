import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** An answer that has not come by then never will: the client gives up, as a real one would. */
const GIVE_UP_MS = 30_000;

export interface LoadOptions {
  readonly port: number;
  readonly host?: string;
  /** To whom they go; in turn, where there are several. */
  readonly subscriptionId: number | readonly number[];
  /** Requests a second, while a service answers. */
  readonly rate: number;
  readonly connections?: number;
}

/** The answers to the webhooks that a client sends. */
export interface Load {
  /** When each webhook was accepted, by its id: the ledger's left side. */
  readonly accepted: ReadonlyMap<string, number>;
  /** Answers other than 202, by status; `reset` is a connection that broke, `hung` one given up. */
  readonly refused: Readonly<Record<string, number>>;
  /** The number of these whose webhook may have been accepted, because no answer denied it. */
  readonly unsure: number;
  /** The longest wait for an answer other than 202, in milliseconds. */
  readonly slowestRefusalMs: number;
  readonly lastAcceptedAt: number;
  /** Problems whose content-type was not problem+json. */
  readonly malformed: number;
  stop(): Promise<void>;
}

/** Hands webhooks in until it is stopped. Whoever is not answered tries again with another webhook. */
export function startLoad(options: LoadOptions): Load {
  const { port, host = '127.0.0.1', subscriptionId, rate, connections = 16 } = options;
  const subscriptionIds = [subscriptionId].flat();
  const accepted = new Map<string, number>();
  const refused: Record<string, number> = {};
  let slowestRefusalMs = 0;
  let lastAcceptedAt = 0;
  let malformed = 0;
  let unsure = 0;
  let stopped = false;
  let sent = 0;

  function refuse(kind: string, since: number): void {
    refused[kind] = (refused[kind] ?? 0) + 1;
    slowestRefusalMs = Math.max(slowestRefusalMs, performance.now() - since);
  }

  async function converse(): Promise<void> {
    const pauseMs = (1000 * connections) / rate;
    let socket: Socket | undefined;
    while (!stopped) {
      const since = performance.now();
      try {
        socket ??= await open(host, port);
        sent += 1;
        socket.write(requestOf(subscriptionIds[sent % subscriptionIds.length] as number, sent));
        const { status, head, body } = await answerOf(socket);
        if (status === 202) {
          lastAcceptedAt = Date.now();
          accepted.set((JSON.parse(body) as { webhook_id: string }).webhook_id, lastAcceptedAt);
        } else {
          refuse(String(status), since);
          const isProblem = /content-type: application\/problem\+json/i.test(head);
          // A balancer that answers itself does not know the outcome.
          if (!isProblem || body.includes(':outcome-unknown"')) unsure += 1;
          if (!isProblem) malformed += 1;
        }
      } catch (error) {
        socket?.destroy();
        socket = undefined;
        const reason = (error as Error).message;
        if (reason !== 'nobody listens') {
          refuse(reason === 'hung' ? 'hung' : 'reset', since);
          unsure += 1;
        }
      }
      await sleep(Math.max(0, pauseMs - (performance.now() - since)) * (0.5 + Math.random()));
    }
    socket?.destroy();
  }

  const conversations = Array.from({ length: connections }, converse);
  return {
    accepted,
    refused,
    get slowestRefusalMs() {
      return slowestRefusalMs;
    },
    get lastAcceptedAt() {
      return lastAcceptedAt;
    },
    get malformed() {
      return malformed;
    },
    get unsure() {
      return unsure;
    },
    async stop() {
      stopped = true;
      await Promise.all(conversations);
    },
  };
}

async function open(host: string, port: number): Promise<Socket> {
  const socket = connect({ port, host, noDelay: true });
  try {
    await once(socket, 'connect');
  } catch {
    throw new Error('nobody listens');
  }
  socket.on('error', () => {});
  return socket;
}

function requestOf(subscriptionId: number, n: number): string {
  const body = JSON.stringify({ type: 'order.created', data: { n, note: 'x'.repeat(200) } });
  return `POST /ingest/${subscriptionId} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

function answerOf(socket: Socket): Promise<{ status: number; head: string; body: string }> {
  return new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => done(new Error('hung')), GIVE_UP_MS);
    const onData = (chunk: Buffer) => {
      text += chunk.toString('latin1');
      const headEnd = text.indexOf('\r\n\r\n');
      if (headEnd === -1) return;
      const head = text.slice(0, headEnd);
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      if (text.length < headEnd + 4 + length) return;
      done();
      resolve({ status: Number(head.slice(9, 12)), head, body: text.slice(headEnd + 4) });
    };
    const onClose = () => done(new Error('reset'));
    const done = (error?: Error) => {
      clearTimeout(timer);
      socket.off('data', onData);
      socket.off('close', onClose);
      if (error !== undefined) reject(error);
    };
    socket.on('data', onData);
    socket.on('close', onClose);
  });
}
