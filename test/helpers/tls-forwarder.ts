import { createServer, connect as dial, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import pg from 'pg';
import type { Test } from 'tap';
import type { Certificate } from './certificates.ts';

/** The eight bytes with which a client of Postgres asks for TLS. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

/**
 * Puts TLS in front of a database, as hosted services have it, until the test ends. A client that does not ask for
 * TLS is refused.
 *
 * @returns a function that gives the URL for a host name of this machine.
 */
export async function startTlsForwarder(
  t: Test,
  databaseUrl: string,
  certificate: Certificate,
): Promise<(host: string, options: string) => string> {
  const { host, port, user, database } = new pg.Client({ connectionString: databaseUrl });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', (first) => {
      if (!first.equals(SSL_REQUEST)) {
        socket.destroy();
        return;
      }
      socket.write('S');
      const secure = new TLSSocket(socket, { isServer: true, ...certificate });
      const other = host.startsWith('/') ? dial(`${host}/.s.PGSQL.${port}`) : dial(port, host);
      sockets.add(other);
      for (const [from, to] of [
        [secure, other],
        [other, secure],
      ] as const) {
        from.pipe(to);
        from.on('error', () => to.destroy());
        from.on('close', () => to.destroy());
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port: own } = server.address() as { port: number };
  return (name, options) => `postgresql://${user}:x@${name}:${own}/${database}?${options}`;
}
