import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../../helpers/until.ts';
import { childrenOf, ended } from './processes.ts';
import type { Run } from './scenario.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');

export interface PosthornOptions {
  /** Without it, an embedded one. */
  readonly databaseUrl?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Where its sources are, when not here. */
  readonly root?: string;
  /** The command that starts it, such as `ip netns exec …` or `faketime …`. */
  readonly through?: readonly string[];
}

export interface LogLine {
  readonly at: number;
  readonly text: string;
}

/** A service in a process of its own, as `posthorn start` runs it. */
export interface Posthorn {
  readonly pid: number;
  /** The pids of the processes under its supervisor, if it has a supervisor. */
  readonly children: number[];
  readonly log: readonly LogLine[];
  /** Waits until it says that it is up. */
  up(): Promise<string>;
  readonly running: boolean;
  kill(signal: NodeJS.Signals): void;
  exited(): Promise<number | NodeJS.Signals | null>;
  request(method: string, path: string, body?: unknown, timeoutMs?: number): Promise<Response>;
  /** Makes a subscription and returns its id. */
  subscribe(url: string): Promise<number>;
}

let started = 0;

/** Starts a service that ends with the scenario. Its log is kept in the scenario's folder. */
export function startPosthorn(run: Run, options: PosthornOptions): Posthorn {
  const { databaseUrl, env = {}, root = ROOT, through = [] } = options;
  started += 1;
  const logPath = join(run.dir, `posthorn-${started}.log`);
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(POSTHORN_|NODE_|DATABASE_URL)/.test(name),
  );
  const command = [
    ...through,
    process.execPath,
    '--max-semi-space-size=8',
    join(root, 'src', 'main.ts'),
    'start',
  ];
  const child: ChildProcess = spawn(command[0] as string, command.slice(1), {
    cwd: run.dir,
    env: {
      ...Object.fromEntries(inherited),
      PORT: '0',
      POSTHORN_ALLOW_NETWORKS: '127.0.0.0/8,::1/128',
      ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
      ...env,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
    // A process group of its own, which ends as a whole.
    detached: true,
  });
  const log: LogLine[] = [];
  let url: string | undefined;
  let partial = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    appendFileSync(logPath, chunk);
    const lines = (partial + chunk).split('\n');
    partial = lines.pop() ?? '';
    for (const text of lines) {
      log.push({ at: Date.now(), text });
      url ??= /"url":"([^"]+)".*"posthorn is up"/.exec(text)?.[1];
    }
  });
  const running = () => child.exitCode === null && child.signalCode === null;
  run.onEnd(async () => {
    if (!running()) return;
    // A frozen process handles no other signal. `faketime` and a supervisor have children.
    process.kill(-(child.pid as number), 'SIGKILL');
    await ended(child);
  });

  const posthorn: Posthorn = {
    get pid() {
      return child.pid as number;
    },
    get children() {
      return childrenOf(child.pid as number);
    },
    log,
    get running() {
      return running();
    },
    up: () =>
      until('posthorn is up', () => {
        if (!running()) throw new Error(`it ended: ${log.map(({ text }) => text).join('\n')}`);
        return url;
      }),
    kill: (signal) => void child.kill(signal),
    async exited() {
      await ended(child);
      return child.exitCode ?? child.signalCode;
    },
    async request(method, path, body, timeoutMs = 120_000) {
      return await fetch(new URL(path, url), {
        method,
        headers: {
          connection: 'close',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeoutMs),
      });
    },
    async subscribe(target) {
      const response = await posthorn.request('POST', '/subscriptions/createsubscription', {
        url: target,
      });
      if (!response.ok) throw new Error(`subscribe: ${response.status} ${await response.text()}`);
      return ((await response.json()) as { id: number }).id;
    },
  };
  return posthorn;
}

/** The most lines that fall into one second of a log, between two moments. */
export function mostLinesASecond(log: readonly LogLine[], from = 0, to = Date.now()): number {
  let most = 0;
  const lines = log.filter(({ at }) => at >= from && at <= to);
  let first = 0;
  lines.forEach(({ at }, last) => {
    while ((lines[first] as LogLine).at <= at - 1000) first += 1;
    most = Math.max(most, last - first + 1);
  });
  return most;
}

/** Lines of stack traces that went past the log, or that it holds. */
export function stackLines(log: readonly LogLine[]): number {
  return log.filter(({ text }) => /^\s+at /.test(text) || /"stack":/.test(text)).length;
}
