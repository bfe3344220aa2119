// The load generator. It uses raw sockets and prepared requests, because it shares the machine with the
// service that it measures.
import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createHistogram } from 'node:perf_hooks';
import { readContentLength } from '../lib/http-text.ts';
import { nowMs, serveCommands } from '../lib/processes.ts';

/** The requests to send, how fast, and for how long. */
export interface Load {
  readonly port: number;
  /** The requests go to these paths in turn. */
  readonly paths: readonly string[];
  readonly secret: string;
  readonly bodyBytes: number;
  readonly connections: number;
  readonly durationMs: number;
  /**
   * Requests a second, sent at fixed times even if answers are late (open loop); latencies count from the
   * time at which a request was due. Without it, each connection sends when it has its answer (closed loop).
   */
  readonly rate?: number;
  /**
   * Puts the time at which the request was due into every body (closed loop: the time of sending), for the
   * receiver's paths `/latency` and `/arrivals`.
   */
  readonly stamped?: boolean;
  /** Returns the time in each body, and the time of its 202. */
  readonly keepAccepts?: boolean;
  /** Stops after this number of requests. */
  readonly count?: number;
  /** The event types in the bodies, from a random place. Each is used once for every path, then the next one. */
  readonly eventTypes?: readonly string[];
  /** Additional headers of every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Gives each request a different idempotency key. */
  readonly idempotencyKeys?: boolean;
}

export interface LoadResult {
  readonly sent: number;
  readonly accepted: number;
  /** The number of answers other than 202, by status. */
  readonly refused: Record<string, number>;
  readonly startedAt: number;
  readonly endedAt: number;
  /** Milliseconds until the 202. */
  readonly latencyMs: { p50: number; p95: number; p99: number };
  /** Open loop: requests for which no connection was free when they were due. */
  readonly late: number;
  /** With `keepAccepts`: the time in the body, and the time of the 202, in microseconds. */
  readonly accepts: readonly (readonly [sentAtUs: number, acceptedAtUs: number])[];
}

async function run(load: Load): Promise<LoadResult> {
  const { paths, secret, bodyBytes, durationMs, rate, stamped = false, count } = load;
  const histogram = createHistogram();
  const { eventTypes = ['order.created'] } = load;
  const firstType = Math.floor(Math.random() * eventTypes.length);
  const refused: Record<string, number> = {};
  const accepts: [number, number][] = [];
  let sent = 0;
  let accepted = 0;
  let late = 0;
  const run = randomUUID();
  const headers = {
    ...load.headers,
    ...(load.idempotencyKeys ? { 'idempotency-key': keyOf(run, 0) } : {}),
  };
  const prepared = paths.map((path) =>
    requestOf(path, secret, bodyOf(bodyBytes, eventTypes[0] as string), headers),
  );
  const keyAt = prepared.map((request) => request.indexOf(keyOf(run, 0)));

  const sockets = await Promise.all(
    Array.from({ length: load.connections }, () => open(load.port)),
  );
  const startedAt = nowMs();
  const deadline = startedAt + durationMs;
  const mayGoOn = () => nowMs() < deadline && (count === undefined || sent < count);
  const due: number[] = [];
  const idle: (() => void)[] = [];

  function nextRequest(dueAt: number): Buffer {
    const index = sent % paths.length;
    const nth = firstType + Math.floor(sent / paths.length);
    sent += 1;
    if (stamped || eventTypes.length > 1) {
      const type = eventTypes[nth % eventTypes.length] as string;
      const body = bodyOf(bodyBytes, type, stamped ? microseconds(dueAt) : 0);
      return requestOf(paths[index] as string, secret, body, headers);
    }
    const request = prepared[index] as Buffer;
    if (!load.idempotencyKeys) return request;
    const own = Buffer.from(request);
    own.write(keyOf(run, sent), keyAt[index] as number, 'latin1');
    return own;
  }

  async function converse(first: Socket): Promise<void> {
    let socket = first;
    while (rate === undefined ? mayGoOn() : mayGoOn() || due.length > 0) {
      let from: number | undefined;
      if (rate === undefined) {
        from = nowMs();
      } else {
        from = due.shift();
        if (from === undefined) {
          await new Promise<void>((resolve) => idle.push(resolve));
          continue;
        }
      }
      // In an open loop, the service may have closed a connection that was idle for long.
      if (socket.destroyed) socket = await open(load.port);
      socket.write(nextRequest(from));
      const status = await answerOf(socket);
      histogram.record(Math.max(1, Math.round((nowMs() - from) * 1000)));
      if (status === 202) {
        accepted += 1;
        if (load.keepAccepts) accepts.push([microseconds(from), microseconds(nowMs())]);
      } else refused[status] = (refused[status] ?? 0) + 1;
    }
    socket.destroy();
  }

  const ticking = rate === undefined ? undefined : tick(rate);
  await Promise.all(sockets.map(converse));
  const endedAt = nowMs();
  clearInterval(ticking);
  return {
    sent,
    accepted,
    refused,
    startedAt,
    endedAt,
    late,
    accepts,
    latencyMs: {
      p50: histogram.percentile(50) / 1000,
      p95: histogram.percentile(95) / 1000,
      p99: histogram.percentile(99) / 1000,
    },
  };

  function tick(perSecond: number): NodeJS.Timeout {
    let issued = 0;
    const total = Math.ceil((durationMs * perSecond) / 1000);
    return setInterval(() => {
      // The first request is due at once.
      const target = Math.min(total, Math.floor(((nowMs() - startedAt) * perSecond) / 1000) + 1);
      for (; issued < target; issued++) {
        due.push(startedAt + (issued * 1000) / perSecond);
        const wake = idle.pop();
        if (wake === undefined) late += 1;
        else wake();
      }
      if (nowMs() >= deadline) for (const wake of idle.splice(0)) wake();
    }, 1);
  }
}

const microseconds = (ms: number) => Math.round(ms * 1000);

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  socket.on('error', () => {});
  return socket;
}

/** Reads an answer from a connection that has no other request in flight. */
function answerOf(socket: Socket): Promise<number> {
  return new Promise((resolve, reject) => {
    let data: Buffer | undefined;
    const onData = (chunk: Buffer) => {
      data = data === undefined ? chunk : Buffer.concat([data, chunk]);
      const headEnd = data.indexOf('\r\n\r\n');
      if (headEnd === -1 || data.length < headEnd + 4 + readContentLength(data, headEnd)) return;
      done();
      resolve(Number(data.toString('latin1', 9, 12)));
    };
    const onEnd = () => {
      done();
      reject(new Error('the service closed the connection'));
    };
    const done = () => {
      socket.off('data', onData);
      socket.off('close', onEnd);
    };
    socket.on('data', onData);
    socket.on('close', onEnd);
  });
}

/** Returns JSON of exactly that many bytes, in the form of an order. */
function bodyOf(bytes: number, eventType: string, sentAtUs = 0): string {
  const start = `{"event_type":"${eventType}","data":{"sent_at_us":${sentAtUs},"note":"`;
  const end = '"}}';
  return start + 'x'.repeat(Math.max(0, bytes - start.length - end.length)) + end;
}

/** Returns an idempotency key, of the same length for every number. */
function keyOf(run: string, number: number): string {
  return `${run}-${number.toString(16).padStart(8, '0')}`;
}

function requestOf(
  path: string,
  secret: string,
  body: string,
  headers: Readonly<Record<string, string>>,
): Buffer {
  const signature = createHmac('sha256', secret).update(body).digest('hex');
  const others = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nx-hub-signature-256: sha256=${signature}\r\n${others.join('')}\r\n${body}`,
  );
}

serveCommands({ run });
