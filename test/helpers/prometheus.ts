import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Test } from 'tap';
import { freePort } from '../chaos/lib/processes.ts';
import { hasPrograms } from './debian-packages.ts';
import { until } from './until.ts';

const PROMTOOL = '/usr/bin/promtool';
const PROMETHEUS = '/usr/bin/prometheus';

/** Returns whether Prometheus and its promtool are here, or could be installed. */
export function hasPrometheus(): boolean {
  return hasPrograms([PROMTOOL, PROMETHEUS], ['prometheus']);
}

/** Runs promtool and returns what it printed. Rejects unless it ends with 0. */
export async function promtool(args: readonly string[], input = ''): Promise<string> {
  const running = promisify(execFile)(PROMTOOL, [...args]);
  running.child.stdin?.end(input);
  const { stdout, stderr } = await running;
  return `${stdout}${stderr}`;
}

/** A result of a query of Prometheus. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

/** Runs a Prometheus that scrapes the URLs every second, until the test ends. */
export async function startPrometheus(
  t: Test,
  urls: readonly string[],
): Promise<{ query(expression: string): Promise<readonly Sample[]> }> {
  const dir = mkdtempSync(join(tmpdir(), 'posthorn-prometheus-'));
  const port = await freePort();
  const targets = urls.map((url) => `'${new URL(url).host}'`).join(', ');
  writeFileSync(
    join(dir, 'prometheus.yml'),
    `global: { scrape_interval: 1s }
scrape_configs: [{ job_name: posthorn, static_configs: [{ targets: [${targets}] }] }]
`,
  );
  const server: ChildProcess = spawn(
    PROMETHEUS,
    [
      `--config.file=${join(dir, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(dir, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: 'ignore' },
  );
  const ended = new Promise((resolve) => server.once('exit', resolve));
  t.teardown(async () => {
    server.kill('SIGKILL');
    await ended;
    rmSync(dir, { recursive: true, force: true });
  });
  const at = `http://127.0.0.1:${port}`;
  await until('Prometheus is ready', async () => (await fetch(`${at}/-/ready`)).ok);
  return {
    /** @throws Error with Prometheus' own words if it does not take the expression. */
    async query(expression) {
      const response = await fetch(`${at}/api/v1/query?query=${encodeURIComponent(expression)}`);
      const { status, error, data } = (await response.json()) as {
        status: string;
        error?: string;
        data: { result: readonly Sample[] };
      };
      if (status !== 'success') throw new Error(`${expression}: ${error}`);
      return data.result;
    },
  };
}
