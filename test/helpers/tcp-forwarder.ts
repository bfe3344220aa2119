import { createServer, connect as dial, type Socket } from 'node:net';
import pg from 'pg';
import type { Test } from 'tap';

/** Forwards TCP connections to a server, and can fail as a network does. */
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
  const { port, ...forwarder } = await forward(t, () =>
    target.host.startsWith('/')
      ? dial(`${target.host}/.s.PGSQL.${target.port}`)
      : dial(target.port, target.host),
  );
  const user = `${target.user}:${target.password ?? 'x'}`;
  return { ...forwarder, url: `postgresql://${user}@127.0.0.1:${port}/${target.database}` };
}

/** Starts a forwarder to a service on this machine, which runs until the test ends. */
export async function startHttpForwarder(t: Test, url: string): Promise<TcpForwarder> {
  const target = new URL(url);
  const { port, ...forwarder } = await forward(t, () => dial(Number(target.port), target.hostname));
  return { ...forwarder, url: `http://127.0.0.1:${port}` };
}

async function forward(
  t: Test,
  dialTarget: () => Socket,
): Promise<Omit<TcpForwarder, 'url'> & { readonly port: number }> {
  const sockets = new Set<Socket>();
  let drops = false;
  let dropsAnswers = false;
  let closed = false;
  const server = createServer((socket) => {
    if (closed) {
      socket.destroy();
      return;
    }
    const other = dialTarget();
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
    port,
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
