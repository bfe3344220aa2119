import { spawnSync } from 'node:child_process';
import { connect, createServer, type Socket } from 'node:net';
import { type Run, Skipped } from './scenario.ts';

/** A network namespace with one cable to this machine. */
export interface Namespace {
  /** This machine's end, and the namespace's. */
  readonly hostAddress: string;
  readonly address: string;
  /** The command that starts a program in the network namespace. */
  readonly through: readonly string[];
  /** Drops every packet between the namespace and a port of this machine, as a dead switch does. */
  cut(port: number): void;
  mend(): void;
}

/**
 * Makes a namespace that ends with the scenario.
 *
 * @throws Skipped without root, iproute2 or iptables.
 */
export function makeNamespace(run: Run): Namespace {
  const name = `posthorn-${process.pid}`;
  const net = `10.231.${process.pid % 250}`;
  const [here, there] = [`phh${process.pid}`, `phn${process.pid}`];
  const hostAddress = `${net}.1`;
  const address = `${net}.2`;
  const through = ['ip', 'netns', 'exec', name];
  need('ip', ['netns', 'add', name]);
  run.onEnd(() => {
    spawnSync('ip', ['link', 'del', here]);
    spawnSync('ip', ['netns', 'del', name]);
  });
  need('ip', ['link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', name]);
  need('ip', ['addr', 'add', `${hostAddress}/24`, 'dev', here]);
  need('ip', ['link', 'set', here, 'up']);
  const inside = (...command: string[]) => need('ip', ['netns', 'exec', name, ...command]);
  inside('ip', 'addr', 'add', `${address}/24`, 'dev', there);
  inside('ip', 'link', 'set', there, 'up');
  inside('ip', 'link', 'set', 'lo', 'up');
  inside('iptables', '-L', 'OUTPUT');
  return {
    hostAddress,
    address,
    through,
    cut(port) {
      inside('iptables', '-A', 'OUTPUT', '-p', 'tcp', '--dport', String(port), '-j', 'DROP');
      inside('iptables', '-A', 'INPUT', '-p', 'tcp', '--sport', String(port), '-j', 'DROP');
    },
    mend: () => inside('iptables', '-F'),
  };
}

function need(program: string, args: string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status === 0) return;
  throw new Skipped(
    `${program} ${args.join(' ')}: ${(error?.message ?? stderr).trim()}. It needs root, and apt-get install iproute2 iptables`,
  );
}

/** A port that leads to whatever server it is told: what a virtual IP or a load balancer does. */
export interface Switchboard {
  readonly port: number;
  /** Leads there from now on; connections to the one before are cut. */
  leadTo(port: number): void;
}

export async function startSwitchboard(run: Run): Promise<Switchboard> {
  let target = 0;
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    const other = connect({ port: target, host: '127.0.0.1', noDelay: true });
    for (const one of [socket, other]) {
      open.add(one);
      one.on('error', () => {});
      one.on('close', () => {
        open.delete(one);
        socket.destroy();
        other.destroy();
      });
    }
    socket.setNoDelay(true);
    socket.pipe(other).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const socket of open) socket.destroy();
  };
  run.onEnd(() => {
    server.close();
    cut();
  });
  return {
    port: (server.address() as { port: number }).port,
    leadTo(port) {
      target = port;
      cut();
    },
  };
}
