// A receiver that uses little CPU, because it shares the machine with the service that is measured, and a real
// receiver would not. It parses only as much HTTP/1.1 as it needs to find the end of a request.
//
//   /ok           answers 200 at once
//   /wait/200     answers 200 after 200 ms
//   /hang         accepts and never answers
//   /latency      answers 200 and records the time since the time of sending in the body
//   /arrivals     answers 200 and keeps the time in the body and the time of arrival of every request
//   /back         takes the number of requests at once, and the time for each, that `revive` was called with.
//                 The bodies are numbered, so it finds in which order they came. Until then nothing listens
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { createHistogram } from 'node:perf_hooks';
import { readContentLength } from '../lib/http-text.ts';
import { nowMs, serveCommands } from '../lib/processes.ts';

const OK = Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
const SENT_AT = Buffer.from('"sent_at_us":');

let received = 0;
let lastAt = 0;
let latencies = createHistogram();
let counts = new Map<string, number>();
/** The requests to `/arrivals`: the time in the body, and the time at which they arrived, in microseconds. */
let arrivals: [sentAtUs: number, arrivedAtUs: number][] = [];

/** How many requests `/back` takes at once, and the time for each. */
let capacity: { readonly atOnce: number; readonly eachMs: number } | undefined;
const NUMBER = Buffer.from('"n":');
const SLOT_MS = 250;
let backAt = 0;
let waiting: Socket[] = [];
let busy = 0;
/** Since `revive`: the numbers in the order in which they came, and the most requests in flight by time slot. */
let taken = 0;
let numbers: number[] = [];
let mostOpen: number[] = [];

const sockets = new Set<Socket>();
const server = createServer((socket) => {
  socket.setNoDelay(true);
  sockets.add(socket);
  socket.on('close', () => sockets.delete(socket));
  socket.on('error', () => {});
  let pending: Buffer | undefined;
  socket.on('data', (chunk) => {
    let data = pending === undefined ? chunk : Buffer.concat([pending, chunk]);
    pending = undefined;
    while (data.length > 0) {
      const headEnd = data.indexOf('\r\n\r\n');
      const end = headEnd === -1 ? -1 : headEnd + 4 + readContentLength(data, headEnd);
      if (end === -1 || data.length < end) {
        pending = data;
        return;
      }
      receive(socket, data.subarray(0, end), headEnd);
      data = data.subarray(end);
    }
  });
});

function receive(socket: Socket, request: Buffer, headEnd: number): void {
  const path = request.toString('latin1', 5, request.indexOf(' ', 5));
  received += 1;
  lastAt = nowMs();
  if (path === '/ok') {
    socket.write(OK);
  } else if (path.startsWith('/wait/')) {
    setTimeout(() => socket.write(OK), Number(path.slice('/wait/'.length)));
  } else if (path === '/latency') {
    latencies.record(Math.max(1, Math.round(lastAt * 1000 - sentAtUsOf(request, headEnd))));
    socket.write(OK);
  } else if (path === '/arrivals') {
    arrivals.push([sentAtUsOf(request, headEnd), Math.round(lastAt * 1000)]);
    socket.write(OK);
  } else if (path === '/back') {
    take(socket, request, headEnd);
  } else if (path !== '/hang') {
    counts.set(path, (counts.get(path) ?? 0) + 1);
    socket.write(OK);
  }
}

function sentAtUsOf(request: Buffer, headEnd: number): number {
  const at = request.indexOf(SENT_AT, headEnd) + SENT_AT.length;
  return Number.parseInt(request.toString('latin1', at, at + 20), 10);
}

function take(socket: Socket, request: Buffer, headEnd: number): void {
  const at = request.indexOf(NUMBER, headEnd);
  taken += 1;
  if (at !== -1) numbers.push(Number.parseInt(request.toString('latin1', at + 4, at + 20), 10));
  waiting.push(socket);
  const slot = Math.floor((nowMs() - backAt) / SLOT_MS);
  mostOpen[slot] = Math.max(mostOpen[slot] ?? 0, busy + waiting.length);
  serve();
}

function serve(): void {
  while (capacity !== undefined && busy < capacity.atOnce) {
    const socket = waiting.shift();
    if (socket === undefined) return;
    busy += 1;
    setTimeout(() => {
      busy -= 1;
      socket.write(OK);
      serve();
    }, capacity.eachMs);
  }
}

/** Returns the greatest distance of a request from its place in the order, among requests that came once. */
function furthestOutOfTurn(): number {
  const seen = [...new Set(numbers)];
  const places = new Map(seen.toSorted((a, b) => a - b).map((n, place) => [n, place]));
  return seen.reduce((most, n, at) => Math.max(most, Math.abs(at - (places.get(n) as number))), 0);
}

server.listen(0, '127.0.0.1');
server.once('listening', () => {
  const { port } = server.address() as { port: number };
  serveCommands({
    port: () => port,
    reset() {
      received = 0;
      lastAt = 0;
      latencies = createHistogram();
      counts = new Map();
      arrivals = [];
    },
    received: () => ({ received, lastAt }),
    latencies: () => ({
      count: latencies.count,
      p50: latencies.percentile(50) / 1000,
      p95: latencies.percentile(95) / 1000,
      p99: latencies.percentile(99) / 1000,
    }),
    arrivals: () => arrivals,
    countsByPath: () => Object.fromEntries(counts),
    async revive(atOnce: number, eachMs: number) {
      backAt = nowMs();
      taken = 0;
      numbers = [];
      mostOpen = [];
      capacity = { atOnce, eachMs };
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
    },
    /** Refuses connections from now on. */
    async die() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      waiting = [];
      await closed;
    },
    revived: () => ({
      received: taken,
      twice: numbers.length - new Set(numbers).size,
      furthestOutOfTurn: furthestOutOfTurn(),
      mostOpen: Array.from(mostOpen, (most = 0) => most),
    }),
  });
});
