import { createServer, connect as dial, type Socket } from 'node:net';
import pg from 'pg';
import type { Test } from 'tap';

/** Forwards TCP connections to a database, and can fail as a network does. */
export interface TcpForwarder {
  readonly url: string;
  /** Drops everything that is sent in both directions, or stops dropping it. */
  drop(yes: boolean): void;
  /** Drops only what the server sends, or stops dropping it. */
  dropAnswers(yes: boolean): void;
  /** Ends all connections and refuses new ones, or accepts new ones again. */
  close(yes: boolean): void;
}

/** Starts a forwarder to a database, which runs until the test ends. */
export async function startTcpForwarder(t: Test, databaseUrl: string): Promise<TcpForwarder> {
  const target = new pg.Client({ connectionString: databaseUrl });
  const sockets = new Set<Socket>();
  let drops = false;
  let dropsAnswers = false;
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
        if (!(drops || (dropsAnswers && from === other))) to.write(chunk);
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
    drop(yes) {
      drops = yes;
    },
    dropAnswers(yes) {
      dropsAnswers = yes;
    },
    close(yes) {
      closed = yes;
      if (yes) cut();
    },
  };
}
