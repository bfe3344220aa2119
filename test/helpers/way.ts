import { createServer, connect as dial, type Socket } from 'node:net';
import pg from 'pg';
import type { Test } from 'tap';

/** A way to a database that can go bad. */
export interface Way {
  readonly url: string;
  /** Swallows all that is sent from now on, as a network does that drops packets; or no longer. */
  swallow(yes: boolean): void;
  /** Swallows what the server says, but not what is said to it; or no longer. */
  swallowAnswers(yes: boolean): void;
  /** Ends all connections, and new ones at once; or no longer. */
  close(yes: boolean): void;
}

/** Makes another way to a database, open until the test ends. */
export async function startWay(t: Test, databaseUrl: string): Promise<Way> {
  const target = new pg.Client({ connectionString: databaseUrl });
  const sockets = new Set<Socket>();
  let swallows = false;
  let swallowsAnswers = false;
  let closed = false;
  const server = createServer((socket) => {
    if (closed) {
      socket.destroy();
      return;
    }
    const other = target.host.startsWith('/')
      ? dial(`${target.host}/.s.PGSQL.${target.port}`)
      : dial(target.port, target.host);
    for (const [from, to] of [
      [socket, other],
      [other, socket],
    ] as const) {
      sockets.add(from);
      from.on('data', (chunk) => {
        if (!(swallows || (swallowsAnswers && from === other))) to.write(chunk);
      });
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.on('error', () => {});
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  t.teardown(() => {
    cut();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return {
    url: `postgresql://${target.user}:${target.password ?? 'x'}@127.0.0.1:${port}/${target.database}`,
    swallow(yes) {
      swallows = yes;
    },
    swallowAnswers(yes) {
      swallowsAnswers = yes;
    },
    close(yes) {
      closed = yes;
      if (yes) cut();
    },
  };
}
