import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { gzipSync } from 'node:zlib';
import { type Attack, CHUNKED, drip, HUGE, OK, on, pour, say } from './hostile.ts';

/**
 * Receivers that cost the most memory, in a process of their own so that theirs is not counted. Run
 * with an IPC channel; sends pairs of a name and a port.
 */
const bomb = gzipSync(Buffer.alloc(50_000_000));
const attacks: Record<string, Attack> = {
  'pours out a body': pour(`${OK}\r\n`, HUGE),
  'pours out a chunk extension': pour(`${CHUNKED}1;`, HUGE),
  'floods 103s': pour('', 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'.repeat(100)),
  'sends 5,000 headers': say(
    `${OK}${'abc: d\r\n'.repeat(5000)}connection: close\r\ncontent-length: 0\r\n\r\n`,
  ),
  'fills the headers and waits': say(`${OK}a: ${HUGE.repeat(4).slice(0, 250_000)}\r\nb: `),
  'fills the body and waits': say(`${OK}content-length: 1000000\r\n\r\n${HUGE.slice(1)}`),
  'sends a gzip bomb': on((socket) => {
    socket.write(`${OK}content-encoding: gzip\r\ncontent-length: ${bomb.length + 1}\r\n\r\n`);
    socket.write(bomb);
  }),
  'drips headers': drip(OK, 'a: b\r\n'),
  'reads nothing': (socket) => void socket.pause(),
};

const ports = await Promise.all(
  Object.entries(attacks).map(async ([name, attack]) => {
    const server = createServer((socket) => attack(socket.on('error', () => {})));
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1_000 });
    await once(server, 'listening');
    return [name, (server.address() as AddressInfo).port];
  }),
);
process.once('disconnect', () => process.exit());
process.send?.(ports);
