// src/http relies on some private parts of undici and of Node's sockets. If an upgrade changes them, this test fails.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { type Socket as Accepted, createServer, Socket } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { createUndiciConnector, type Target } from '../../src/http/undici.ts';
import { fileDescriptorOf, hasUnread } from '../../src/http/unread.ts';
import { testInternals } from '../helpers/contract.ts';
import { until } from '../helpers/until.ts';

const SRC = join(import.meta.dirname, '..', '..', 'src');
const UNDICI = 'src/http/undici.ts';
const UNREAD = 'src/http/unread.ts';

const accepted: Accepted[] = [];
const server = createServer((socket) => {
  socket.on('error', () => {});
  accepted.push(socket);
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
t.teardown(() => {
  for (const socket of accepted) socket.destroy();
  server.close();
});
const { port } = server.address() as { port: number };
const target: Target = {
  protocol: 'http:',
  hostname: 'receiver.example',
  host: 'receiver.example',
  port: String(port),
  servername: '',
};
const toLoopback = createUndiciConnector({
  timeout: 5_000,
  lookup: (_hostname, { all }, callback) =>
    all ? callback(null, [{ address: '127.0.0.1', family: 4 }]) : callback(null, '127.0.0.1', 4),
});

/** Connects, and gives the other end too. */
async function connect(): Promise<{ socket: Socket; other: Accepted }> {
  const before = accepted.length;
  const socket = await new Promise<Socket>((resolve, reject) => {
    toLoopback(target, (error, connected) =>
      error ? reject(error) : resolve(connected as Socket),
    );
  });
  const other = await until('it is accepted', () => accepted[before]);
  return { socket, other };
}

testInternals(t, [
  {
    of: 'undici',
    that: '`undici/lib/core/connect.js` exports the function that makes connectors',
    usedBy: UNDICI,
    check: () => assert.equal(typeof createUndiciConnector({ timeout: 1_000 }), 'function'),
  },
  {
    of: 'undici',
    that: 'a connector returns the socket at once, and passes it to its callback when it is connected',
    usedBy: 'src/http/connector.ts',
    async check() {
      const connected = Promise.withResolvers<unknown>();
      const given = toLoopback(target, (error, socket) =>
        error ? connected.reject(error) : connected.resolve(socket),
      );
      assert(given instanceof Socket, 'what it returns is no socket');
      assert.equal(await connected.promise, given);
      given.destroy();
    },
  },
  {
    of: 'undici',
    that: '`lookup` is passed on to the socket, which calls it before the connector returns',
    usedBy: 'src/http/connector.ts',
    async check() {
      const asked: string[] = [];
      const refusal = new Error('refused by a test');
      const connector = createUndiciConnector({
        timeout: 5_000,
        lookup: (hostname, _options, callback) => {
          asked.push(hostname);
          callback(refusal);
        },
      });
      const failed = new Promise((resolve) => connector(target, (...[error]) => resolve(error)));
      assert.deepEqual(asked, ['receiver.example']);
      assert.equal(await failed, refusal);
    },
  },
  {
    of: 'undici',
    that: '`timeout` limits the time for connecting, and its error has the code UND_ERR_CONNECT_TIMEOUT',
    usedBy: 'src/sending/classify.ts',
    async check() {
      const connector = createUndiciConnector({ timeout: 1_000, lookup: () => {} });
      const error = await new Promise<NodeJS.ErrnoException | null>((resolve) =>
        connector(target, (...[failure]) => resolve(failure)),
      );
      assert.equal(error?.code, 'UND_ERR_CONNECT_TIMEOUT');
    },
  },
  {
    of: 'node',
    that: 'a connected socket has its file descriptor in `_handle.fd`, with which the kernel tells of unread bytes',
    usedBy: UNREAD,
    async check() {
      const { socket, other } = await connect();
      assert(process.platform === 'win32' || fileDescriptorOf(socket) > 0, 'there is none');
      assert.equal(hasUnread(socket), false, 'nothing has come');
      // Read by nobody else: it was never told to flow.
      other.write('x');
      await until('something has come', () => hasUnread(socket));
      socket.destroy();
      assert.equal(fileDescriptorOf(socket), -1, 'of a closed socket');
    },
  },
]);

t.test('only one file imports undici', async (t) => {
  const found = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter(
    (name) =>
      name.endsWith('.ts') &&
      /(from|import|require)\s*\(?'undici/.test(readFileSync(join(SRC, name), 'utf8')),
  );
  t.strictSame(found, [join('http', 'undici.ts')]);
});
