// Hosts of a network of their own: a network namespace for each, and one for the switch between them (a bridge). The
// machine that runs the test has a cable to the switch too.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { hasPrograms } from '../../helpers/debian-packages.ts';
import { type Run, Skipped } from './scenario.ts';

const PACKAGES = ['iproute2', 'iptables'] as const;
const PROGRAMS = ['/usr/sbin/ip', '/usr/sbin/tc', '/usr/sbin/iptables'] as const;
/** Each name has the pid of the run that made it, by which a later run knows whether that run has ended. */
const NAMESPACE = /^posthorn-(\d+)(?:-|$)/;
const LINK = /^ph[hm](\d+)(?=[@:])/;

/** Matches packets at random, with the probability that follows. */
const LOSS = ['-m', 'statistic', '--mode', 'random'] as const;

/** How a slow network treats packets, in each direction. */
export interface Slowness {
  readonly delayMs: number;
  readonly lossPercent: number;
}

export interface Host {
  readonly name: string;
  readonly address: string;
  /** The command that starts a program on this host. */
  readonly through: readonly string[];
  /** Ends all processes of the host at once; its network goes on, so others are told that connections have ended. */
  killProcesses(): void;
  /** Loses its power: nothing leaves it any more, not even the ends of its connections. */
  powerOff(): void;
  powerOn(): void;
  /** Unplugs the cable at the switch: packets are lost, and nobody is told. */
  cutOff(): void;
  slow(slowness: Slowness): void;
  /** Ends what `cutOff` and `slow` began. */
  mend(): void;
}

export interface HostNetwork {
  /** All addresses of the network. */
  readonly cidr: string;
  /** By what packets are slowed here: netem, or where the kernel lacks it, a narrow link that drops packets. */
  readonly slowedBy: 'netem' | 'tbf';
  addHost(name: string): Host;
}

/**
 * Makes a network that ends with the scenario.
 *
 * @throws Skipped without root, or without CAP_NET_ADMIN, iproute2 or iptables.
 */
export function makeHostNetwork(run: Run): HostNetwork {
  if (!hasPrograms(PROGRAMS, PACKAGES))
    throw new Skipped(`apt-get install ${PACKAGES.join(' ')}: this needs its own network`);
  removeLeftNetworks();
  const net = `10.231.${process.pid % 250}`;
  const prefix = `posthorn-${process.pid}`;
  const here = `phm${process.pid}`;
  const switchName = `${prefix}-switch`;
  const names: string[] = [];
  run.onEnd(() => {
    for (const name of names.toReversed()) removeNamespace(name);
    attempt('ip', 'link', 'del', here);
  });

  function addNamespace(name: string): void {
    names.push(name);
    must('ip', 'netns', 'add', name);
    must('ip', '-n', name, 'link', 'set', 'lo', 'up');
  }

  /** Adds a port to the switch, and the cable's other end. */
  function plugIn(port: string, device: string, namespace: string): void {
    const peer = ['peer', 'name', device, 'netns', namespace];
    must('ip', '-n', switchName, 'link', 'add', 'name', port, 'type', 'veth', ...peer);
    must('ip', '-n', switchName, 'link', 'set', port, 'master', 'bridge', 'up');
  }

  try {
    addNamespace(switchName);
    must('ip', '-n', switchName, 'link', 'add', 'bridge', 'type', 'bridge');
    must('ip', '-n', switchName, 'link', 'set', 'bridge', 'up');
    plugIn('to-here', here, String(process.pid));
    must('ip', 'addr', 'add', `${net}.1/24`, 'dev', here);
    must('ip', 'link', 'set', here, 'up');
    must(
      'ip',
      'netns',
      'exec',
      switchName,
      'iptables',
      '-A',
      'INPUT',
      ...LOSS,
      '--probability',
      '0',
      '-j',
      'DROP',
    );
  } catch (error) {
    throw new Skipped(`${(error as Error).message}. This needs root with CAP_NET_ADMIN`);
  }

  let addresses = 9;
  const slowedBy = findSlowing(switchName);
  return {
    cidr: `${net}.0/24`,
    slowedBy,
    addHost(name) {
      addresses += 1;
      const address = `${net}.${addresses}`;
      const mac = addresses.toString(16).padStart(2, '0');
      const namespace = `${prefix}-${name}`;
      const port = `to-${name}`;
      const through = ['ip', 'netns', 'exec', namespace] as const;
      const atSwitch = ['ip', 'netns', 'exec', switchName] as const;
      /** Both directions of the cable. */
      const ends = [
        [...through, 'tc', 'qdisc', 'add', 'dev', 'eth0', 'root'],
        [...atSwitch, 'tc', 'qdisc', 'add', 'dev', port, 'root'],
      ] as const;

      function powerOn(): void {
        addNamespace(namespace);
        plugIn(port, 'eth0', namespace);
        // A machine keeps its MAC address, which its neighbours remember.
        must(...through, 'ip', 'link', 'set', 'eth0', 'address', `02:00:0a:e7:00:${mac}`);
        must(...through, 'ip', 'addr', 'add', `${address}/24`, 'dev', 'eth0');
        must(...through, 'ip', 'link', 'set', 'eth0', 'up');
      }

      powerOn();
      return {
        name,
        address,
        through,
        killProcesses: () => killProcessesIn(namespace),
        powerOff() {
          must(...atSwitch, 'ip', 'link', 'del', port);
          removeNamespace(namespace);
        },
        powerOn,
        cutOff: () => must(...atSwitch, 'ip', 'link', 'set', port, 'down'),
        slow(slowness) {
          for (const end of ends) must(...end, ...queueOf(slowedBy, slowness));
          if (slowedBy === 'netem') return;
          const probability = String(slowness.lossPercent / 100);
          for (const chain of ['INPUT', 'OUTPUT'])
            must(
              ...through,
              'iptables',
              '-A',
              chain,
              ...LOSS,
              '--probability',
              probability,
              '-j',
              'DROP',
            );
        },
        mend() {
          for (const end of ends) attempt(...end.map((word) => (word === 'add' ? 'del' : word)));
          must(...through, 'iptables', '-F');
          must(...atSwitch, 'ip', 'link', 'set', port, 'up');
        },
      };
    },
  };
}

/** Some kernels have no netem. A link of one megabit a second, with a queue of that length, delays under load. */
function queueOf(by: HostNetwork['slowedBy'], { delayMs, lossPercent }: Slowness): string[] {
  if (by === 'netem')
    return ['netem', 'delay', `${delayMs}ms`, `${delayMs / 4}ms`, 'loss', `${lossPercent}%`];
  return ['tbf', 'rate', '1mbit', 'burst', '4kb', 'latency', `${delayMs}ms`];
}

function findSlowing(namespace: string): HostNetwork['slowedBy'] {
  const added = attempt('tc', '-n', namespace, 'qdisc', 'add', 'dev', 'lo', 'root', 'netem');
  return added ? 'netem' : 'tbf';
}

function killProcessesIn(namespace: string): void {
  // Some may have started others just now.
  for (let pids = pidsIn(namespace); pids.length > 0; pids = pidsIn(namespace)) {
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    }
  }
}

function pidsIn(namespace: string): number[] {
  const { stdout } = spawnSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' });
  return (stdout ?? '')
    .split('\n')
    .map(Number)
    .filter((pid) => pid > 0);
}

function removeNamespace(name: string): void {
  killProcessesIn(name);
  attempt('ip', 'netns', 'del', name);
}

/** Removes the networks of runs that have ended without doing so. */
export function removeLeftNetworks(): void {
  const list = (...args: string[]) =>
    (spawnSync('ip', args, { encoding: 'utf8' }).stdout ?? '').split('\n');
  for (const line of list('netns', 'list')) {
    const [name = ''] = line.split(' ');
    if (hasEnded(NAMESPACE.exec(name)?.[1])) removeNamespace(name);
  }
  for (const line of list('-o', 'link', 'show')) {
    const found = LINK.exec(line.split(' ')[1] ?? '');
    if (found !== null && hasEnded(found[1])) attempt('ip', 'link', 'del', found[0]);
  }
}

/** Returns false without a pid. A process that has the pid by now and is no run of these tests counts as none. */
function hasEnded(pid: string | undefined): boolean {
  if (pid === undefined) return false;
  const path = `/proc/${pid}/cmdline`;
  return !existsSync(path) || !/chaos|tap|test/.test(readFileSync(path, 'latin1'));
}

/** Runs a command and returns whether it succeeded. */
function attempt(...[program = '', ...args]: readonly string[]): boolean {
  return spawnSync(program, args).status === 0;
}

/** @throws Error with what the command said, if it fails. */
function must(...[program = '', ...args]: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status === 0) return;
  throw new Error(`${[program, ...args].join(' ')}: ${(error?.message ?? stderr).trim()}`);
}
