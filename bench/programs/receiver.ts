// A receiver that costs little: it shares the machine with what is measured, and a real one is
// elsewhere. It reads just enough HTTP/1.1 to know where a request ends.
//
//   /ok           answers 200 at once
//   /wait/200     answers 200 after 200 ms
//   /hang         accepts and never answers
//   /latency      answers 200 and notes how long ago the body says that it was sent
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

const server = createServer((socket) => {
  socket.setNoDelay(true);
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
    const at = request.indexOf(SENT_AT, headEnd) + SENT_AT.length;
    const sentAtUs = Number.parseInt(request.toString('latin1', at, at + 20), 10);
    latencies.record(Math.max(1, Math.round(lastAt * 1000 - sentAtUs)));
    socket.write(OK);
  } else if (path !== '/hang') {
    counts.set(path, (counts.get(path) ?? 0) + 1);
    socket.write(OK);
  }
}

server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as { port: number };
  serveCommands({
    port: () => port,
    reset() {
      received = 0;
      lastAt = 0;
      latencies = createHistogram();
      counts = new Map();
    },
    received: () => ({ received, lastAt }),
    latencies: () => ({
      count: latencies.count,
      p50: latencies.percentile(50) / 1000,
      p95: latencies.percentile(95) / 1000,
      p99: latencies.percentile(99) / 1000,
    }),
    countsByPath: () => Object.fromEntries(counts),
  });
});
