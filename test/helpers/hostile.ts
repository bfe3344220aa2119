import { once } from 'node:events';
import {
  type AddressInfo,
  connect,
  createServer,
  isIPv6,
  type Server,
  type Socket,
} from 'node:net';
import { Worker } from 'node:worker_threads';
import type { Test } from 'tap';
import { parseNetworks, type Reach } from '../../src/http/address-guard.ts';
import type { HttpAnswer } from '../../src/http/answer-reader.ts';
import type { ConnectorOptions } from '../../src/http/connector.ts';
import { createHttpClient, type HttpClient } from '../../src/http/http-client.ts';
import { parsePorts } from '../../src/http/ports.ts';
import { classifyAnswer, classifyFailure, type Verdict } from '../../src/sending/classify.ts';

/** The bound of attempts that only a bound ends. On a busy machine it takes a while until what comes before it has come. */
export const SHORT_MS = 2_000;
/** By when even a busy machine has ended them. Without the bound they would not end. */
export const LATEST_MS = SHORT_MS + 60_000;
/** Far more than an attempt takes that ends by itself, however busy the machine. */
export const LONG_MS = 150_000;
/** When an attempt does not end at all, tap ends the test. */
export const AT_MOST = { timeout: 600_000 };
export const LOOPBACK = reachOf('127.0.0.0/8,::1/128');

/** The networks and ports that an operator allows. */
export function reachOf(networks: string, ports = '', denied = ''): Reach {
  return {
    allowNetworks: parseNetworks(networks),
    denyNetworks: parseNetworks(denied),
    allowPorts: parsePorts(ports),
  };
}

export interface Hostile {
  readonly port: number;
  /** As URLs have it, such as `127.0.0.1:8080`. */
  readonly authority: string;
  /** All connections that came. */
  readonly sockets: Socket[];
  /** Resolves when all of them are closed on both sides. */
  closed(): Promise<void>;
}

export interface ReceiverOptions {
  readonly server?: Server;
  /** When it is attacked: as a TLS server, once the handshake is over. */
  readonly event?: 'connection' | 'secureConnection';
  readonly host?: string;
  readonly port?: number;
}

/** A receiver that does to each connection what `attack` does, with no HTTP server in between. */
export async function startHostile(
  t: Test,
  attack: (socket: Socket, nth: number) => void,
  {
    server = createServer(),
    event = 'connection',
    host = '127.0.0.1',
    port: wanted = 0,
  }: ReceiverOptions = {},
): Promise<Hostile> {
  const sockets: Socket[] = [];
  const closings: Promise<void>[] = [];
  server.on(event, (socket: Socket) => {
    closings.push(new Promise((resolve) => socket.once('close', () => resolve())));
    socket.on('error', () => {});
    attack(socket, sockets.push(socket));
  });
  server.listen(wanted, host);
  await once(server, 'listening');
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    authority: `${isIPv6(host) ? `[${host}]` : host}:${port}`,
    sockets,
    async closed() {
      // A socket that is not read does not hear of its end.
      for (const socket of sockets) socket.resume();
      await Promise.all(closings);
    },
  };
}

/** A port of loopback with a queue that is full, and nobody who takes connections from it. */
export async function startDeaf(t: Pick<Test, 'teardown'>): Promise<number> {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads');
    const server = require('node:net').createServer();
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      parentPort.postMessage(server.address().port);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`,
    { eval: true },
  );
  t.teardown(() => worker.terminate());
  const [port] = await once(worker, 'message');
  // Linux takes one connection more than the queue is said to hold.
  for (let n = 0; n < 2; n++) {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    t.teardown(() => socket.destroy());
    await once(socket, 'connect');
  }
  return port;
}

export function createClient(
  t: Test,
  timeoutMs: number,
  options: Reach & Partial<ConnectorOptions> = LOOPBACK,
): HttpClient {
  const client = createHttpClient({ timeoutMs, ...options });
  t.teardown(() => client.close());
  return client;
}

export interface Outcome {
  readonly verdict: Verdict;
  readonly answer: HttpAnswer | null;
  readonly tookMs: number;
}

/** Makes an attempt and classifies it as the deliverer does. */
export async function attempt(
  client: HttpClient,
  url: string,
  body: Buffer = Buffer.from('{"hello":"world"}'),
): Promise<Outcome> {
  const begunAt = performance.now();
  const tookMs = () => Math.round(performance.now() - begunAt);
  try {
    const answer = await client.post({
      url: new URL(url),
      headers: ['content-type', 'application/json'],
      body,
      signal: new AbortController().signal,
    });
    return { answer, verdict: classifyAnswer(answer), tookMs: tookMs() };
  } catch (error) {
    return { answer: null, verdict: classifyFailure(error, SHORT_MS), tookMs: tookMs() };
  }
}

export type Attack = (socket: Socket) => void;

/** Does this once the request has begun to come. */
export function on(answer: Attack): Attack {
  return (socket) => socket.once('data', () => answer(socket));
}

/** Answers with these bytes, and goes on listening. */
export function say(bytes: string | Buffer): Attack {
  return on((socket) => socket.write(bytes));
}

/** Answers with these bytes and closes the connection. */
export function end(bytes: string | Buffer): Attack {
  return on((socket) => socket.end(bytes));
}

/** Answers with these bytes and, once they have left, resets the connection. */
export function breakOff(bytes: string): Attack {
  return on((socket) => socket.write(bytes, () => socket.resetAndDestroy()));
}

/** Answers with the beginning, then with the rest again and again, slowly. */
export function drip(beginning: string, rest: string, everyMs = 10): Attack {
  return on((socket) => {
    socket.write(beginning);
    const timer = setInterval(() => socket.write(rest), everyMs);
    socket.once('close', () => clearInterval(timer));
  });
}

/** Answers with the beginning, then with the rest without an end, as fast as it is read. */
export function pour(beginning: string, rest: string): Attack {
  return on((socket) => {
    const more = () => {
      while (!socket.destroyed && socket.write(rest));
    };
    socket.on('drain', more);
    socket.write(beginning);
    more();
  });
}

export const OK = 'HTTP/1.1 200 OK\r\n';
export const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n`;
export const HUGE = 'x'.repeat(64 * 1024);
export const NOISE = Buffer.from(Array.from({ length: 512 }, (_, n) => (n * 151 + 7) % 256));
