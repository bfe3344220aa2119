import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { hasPrograms } from '../../helpers/debian-packages.ts';
import { until } from '../../helpers/until.ts';
import { ended } from './processes.ts';
import { type Run, Skipped } from './scenario.ts';

const HAPROXY = '/usr/sbin/haproxy';
const CONFIGURATION = join(
  import.meta.dirname,
  '..',
  '..',
  '..',
  'deploy',
  'haproxy',
  'haproxy.cfg',
);

/** Where the balancer listens and leads, as `host:port`. */
export interface BalancerOptions {
  readonly listen: string;
  readonly servers: readonly string[];
  /** The command that starts it on another host, such as `ip netns exec …`. */
  readonly through?: readonly string[];
}

/**
 * Returns deploy/haproxy/haproxy.cfg with these servers instead of the names of Docker.
 *
 * @throws Error if the file has not the lines that are replaced.
 */
export function balancerConfiguration({ listen, servers }: BalancerOptions): string {
  let text = readFileSync(CONFIGURATION, 'utf8');
  const lines = servers.map((server, n) => `    server api${n + 1} ${server}`);
  for (const [found, instead] of [
    [/bind :5000$/m, `bind ${listen}`],
    [/^ {4}server-template .*$/m, lines.join('\n')],
    [/^resolvers docker\n(?: {4}.*\n)+/m, ''],
  ] as const) {
    if (!found.test(text)) throw new Error(`haproxy.cfg has nothing like ${found}`);
    text = text.replace(found, instead);
  }
  return text;
}

/**
 * Runs HAProxy in front of these servers until the scenario ends. They need not listen yet.
 *
 * @throws Skipped if HAProxy is not here and cannot be installed.
 */
export async function startBalancer(run: Run, options: BalancerOptions): Promise<void> {
  if (!hasPrograms([HAPROXY], ['haproxy'])) throw new Skipped('apt-get install haproxy');
  const path = join(run.dir, 'haproxy.cfg');
  writeFileSync(path, balancerConfiguration(options));
  const [command = HAPROXY, ...args] = [...(options.through ?? []), HAPROXY, '-db', '-f', path];
  const child = spawn(command, args, { stdio: 'ignore' });
  run.onEnd(async () => {
    child.kill('SIGKILL');
    await ended(child);
  });
  const { hostname, port } = new URL(`http://${options.listen}`);
  await until('HAProxy listens', async () => {
    if (child.exitCode !== null) throw new Error(`HAProxy ended with ${child.exitCode}`);
    return await new Promise<boolean>((resolve) => {
      const socket = connect(Number(port), hostname, () => resolve(true)).on('error', () =>
        resolve(false),
      );
      socket.unref().end();
    });
  });
}
