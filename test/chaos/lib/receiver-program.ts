// The receiver: a process of its own, which writes each webhook-id down and syncs it to the disk
// before it answers. What it has answered to, it can prove.
//
//   /ok           answers 200
//   /wait/200     answers 200 after 200 ms
//   /fail-once   answers 500 to the first request of each webhook, then 200
//   /hang         writes it down and answers once it is told to release those that hang
import { fdatasyncSync, openSync, writeSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';

const [path = '', host = '127.0.0.1'] = process.argv.slice(2);
const file = openSync(path, 'a');
const OK = Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');

const FAILED = Buffer.from('HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n');

const failed = new Set<string>();
let received = 0;
let open = 0;
let lines: string[] = [];
let answers: (() => void)[] = [];
const hanging: (() => void)[] = [];
let hangs = true;

/** Requests of one turn of the event loop share a sync. */
function flush(): void {
  const mine = answers;
  writeSync(file, lines.join(''));
  fdatasyncSync(file);
  lines = [];
  answers = [];
  for (const answer of mine) answer();
}

function receive(socket: Socket, head: string): void {
  received += 1;
  open += 1;
  const id = /\r\nwebhook-id: ([^\r]+)/i.exec(head)?.[1] ?? 'none';
  const timestamp = /\r\nwebhook-timestamp: ([^\r]+)/i.exec(head)?.[1] ?? '0';
  const target = head.slice(5, head.indexOf(' ', 5));
  if (lines.length === 0) setImmediate(flush);
  lines.push(`${id} ${Date.now()} ${timestamp}\n`);
  const answer = () => {
    open -= 1;
    if (socket.destroyed) return;
    const fails = target.startsWith('/fail-once') && !failed.has(id);
    if (fails) failed.add(id);
    socket.write(fails ? FAILED : OK);
  };
  answers.push(() => {
    if (target.startsWith('/wait/')) setTimeout(answer, Number(target.slice('/wait/'.length)));
    else if (target.startsWith('/hang') && hangs) hanging.push(answer);
    else answer();
  });
}

const server = createServer((socket) => {
  socket.setNoDelay(true);
  socket.on('error', () => {});
  let data: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    data = data.length === 0 ? chunk : Buffer.concat([data, chunk]);
    for (;;) {
      const headEnd = data.indexOf('\r\n\r\n');
      if (headEnd === -1) return;
      const head = data.toString('latin1', 0, headEnd);
      const end = headEnd + 4 + Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      if (data.length < end) return;
      data = data.subarray(end);
      receive(socket, head);
    }
  });
});

process.on('message', ({ command }: { command: 'count' | 'release' }) => {
  if (command === 'release') {
    hangs = false;
    for (const answer of hanging.splice(0)) answer();
  }
  process.send?.({ received, open });
});
process.on('disconnect', () => process.exit());
server.listen(0, host, () => {
  process.send?.({ port: (server.address() as { port: number }).port });
});
