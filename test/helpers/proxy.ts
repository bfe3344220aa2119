import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Test } from 'tap';

export interface TestProxy {
  readonly port: number;
  /** The CONNECT requests that it got, such as for `a.example:443`. */
  readonly asked: IncomingMessage[];
}

/**
 * A proxy that knows CONNECT and nothing else, until the test ends.
 *
 * @param decide the port of loopback that stands for what is asked for, or the status of a refusal.
 */
export async function startProxy(
  t: Test,
  decide: (request: IncomingMessage) => { port: number } | { refuse: number },
): Promise<TestProxy> {
  const asked: IncomingMessage[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((_request, response) => {
    response.writeHead(405).end();
  });
  server.on('connect', (request, socket: Socket, head) => {
    asked.push(request);
    sockets.add(socket.on('error', () => {}));
    const decided = decide(request);
    if ('refuse' in decided) {
      const detail = 'x-smokescreen-error: 10.1.2.3 was denied by rule "private"';
      socket.end(`HTTP/1.1 ${decided.refuse} No\r\n${detail}\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    const upstream = connect(decided.port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (head.length > 0) upstream.write(head);
      upstream.pipe(socket).pipe(upstream);
    });
    sockets.add(upstream);
    upstream.on('error', () => socket.destroy());
    upstream.on('close', () => socket.destroy());
    socket.on('close', () => upstream.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port, asked };
}
