// Hostile receivers, a port each, in a process of their own. Sends `{ name: port }` by IPC.
//
//   node hostile-program.ts <folder with expired.key, expired.cert, other.key and other.cert>
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { gzipSync } from 'node:zlib';
import {
  type Attack,
  breakOff,
  CHUNKED,
  drip,
  end,
  HUGE,
  OK,
  on,
  pour,
  say,
  startDeaf,
} from '../../helpers/hostile.ts';
import { HOSTILE, type HostileKind } from './hostile-kinds.ts';

const [dir = ''] = process.argv.slice(2);
const HINTS = 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n';
const SAID = `${OK}content-length: 2\r\n\r\nok`;
const bomb = gzipSync(Buffer.alloc(50_000_000));
/** Answers each request of a connection that is kept. */
const each =
  (bytes: string | Buffer): Attack =>
  (socket) =>
    void socket.on('data', () => socket.write(bytes));
const redirect = (location: string) =>
  each(`HTTP/1.1 307 Over There\r\nlocation: ${location}\r\ncontent-length: 0\r\n\r\n`);

const attacks: Record<Exclude<HostileKind, 'never accepts'>, Attack> = {
  'accepts and is silent': () => {},
  // Not so fast that there would be too many.
  'drips headers': drip(OK, 'a: b\r\n', 100),
  'drips the body': drip(`${OK}content-length: 1000000\r\n\r\n`, 'x'),
  'endless body': pour(`${OK}\r\n`, HUGE),
  'endless chunks': pour(CHUNKED, `10000\r\n${HUGE}\r\n`),
  '5,000 headers': each(`${OK}${'abc: d\r\n'.repeat(5000)}content-length: 0\r\n\r\n`),
  'a header of 64 KiB': each(`${OK}a: ${HUGE}\r\ncontent-length: 0\r\n\r\n`),
  'headers without an end': pour(OK, 'abc: d\r\n'.repeat(100)),
  'flood of 103': pour('', HINTS.repeat(100)),
  'gzip bomb': each(
    Buffer.concat([
      Buffer.from(`${OK}content-encoding: gzip\r\ncontent-length: ${bomb.length}\r\n\r\n`),
      bomb,
    ]),
  ),
  'resets within the body': breakOff(`${OK}content-length: 100\r\n\r\nab`),
  'hangs in the TLS handshake': () => {},
  'certificate expired': end(SAID),
  'certificate of another name': end(SAID),
  'redirect to itself': redirect('/'),
  'redirect to a private address': redirect('http://169.254.169.254/latest/meta-data/'),
  'answers twice': on((socket) => socket.write(SAID + SAID)),
  'HTTP/0.9': say('hello, world\n'),
  'answers before it has read': (socket) =>
    void socket.write(`${OK}connection: close\r\ncontent-length: 2\r\n\r\nok`),
  '204 with a body': say('HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello'),
};

function serverOf(name: HostileKind, attack: Attack) {
  const listener = (socket: Socket) => attack(socket.on('error', () => {}));
  const certificate = HOSTILE[name].certificate;
  if (certificate === undefined) return createServer(listener);
  const [key, cert] = ['key', 'cert'].map((part) =>
    readFileSync(join(dir, `${certificate}.${part}`)),
  );
  return createTlsServer({ key, cert }, listener).on('tlsClientError', () => {});
}

const ports: Record<string, number> = { 'never accepts': await startDeaf({ teardown() {} }) };
for (const [name, attack] of Object.entries(attacks) as [HostileKind, Attack][]) {
  const server = serverOf(name, attack).listen({ port: 0, host: '127.0.0.1', backlog: 1_000 });
  await once(server, 'listening');
  ports[name] = (server.address() as AddressInfo).port;
}
process.once('disconnect', () => process.exit());
process.send?.(ports);
