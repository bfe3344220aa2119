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

/**
 * Returns deploy/haproxy/haproxy.cfg for processes of this machine: with these ports instead of the names of Docker.
 *
 * @throws Error if the file has not the lines that are replaced.
 */
export function balancerConfiguration(port: number, servers: readonly number[]): string {
  let text = readFileSync(CONFIGURATION, 'utf8');
  const lines = servers.map((server, n) => `    server api${n + 1} 127.0.0.1:${server}`);
  for (const [found, instead] of [
    [/bind :5000$/m, `bind 127.0.0.1:${port}`],
    [/^ {4}server-template .*$/m, lines.join('\n')],
    [/^resolvers docker\n(?: {4}.*\n)+/m, ''],
  ] as const) {
    if (!found.test(text)) throw new Error(`haproxy.cfg has nothing like ${found}`);
    text = text.replace(found, instead);
  }
  return text;
}

/**
 * Runs HAProxy in front of these ports until the scenario ends. They need not be open yet.
 *
 * @throws Skipped if HAProxy is not here and cannot be installed.
 */
export async function startBalancer(
  run: Run,
  port: number,
  servers: readonly number[],
): Promise<void> {
  if (!hasPrograms([HAPROXY], ['haproxy'])) throw new Skipped('apt-get install haproxy');
  const path = join(run.dir, 'haproxy.cfg');
  writeFileSync(path, balancerConfiguration(port, servers));
  const child = spawn(HAPROXY, ['-db', '-f', path], { stdio: 'ignore' });
  run.onEnd(async () => {
    child.kill('SIGKILL');
    await ended(child);
  });
  await until('HAProxy listens', async () => {
    if (child.exitCode !== null) throw new Error(`HAProxy ended with ${child.exitCode}`);
    return await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () =>
        resolve(false),
      );
      socket.unref().end();
    });
  });
}
