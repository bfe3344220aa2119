import { type ChildProcess, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { until } from './until.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

export interface Cli {
  readonly child: ChildProcess;
  /** Everything it has printed so far. */
  readonly output: { stdout: string; stderr: string };
  /** Its exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals | null>;
  /** Waits until its log says where the API listens. */
  url(): Promise<string>;
  kill(signal: NodeJS.Signals): void;
}

/** Runs `posthorn …` of this checkout as a process of its own, as a user would, and ends it with the test. */
export async function startCli(
  t: Test,
  args: string[],
  env: Record<string, string> = {},
  cwd: string = import.meta.dirname,
): Promise<Cli> {
  // main.ts turns the same cache on for all that it imports; without the variable, Node loads its TypeScript compiler
  // for main.ts itself: 0.1 s of CPU of each process.
  const cached = { NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache'), ...env };
  return startProgram(t, [process.execPath, MAIN, ...args], cached, cwd);
}

/** Runs `posthorn …`, as the whole command says, without the settings of this run, and ends it with the test. */
export function startProgram(
  t: Test,
  [program = '', ...args]: readonly string[],
  env: Record<string, string>,
  cwd: string,
): Cli {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(POSTHORN_|TAP|NODE_OPTIONS|NODE_COMPILE_CACHE)/.test(name),
  );
  const child = spawn(program, args, {
    cwd,
    env: {
      ...Object.fromEntries(inherited),
      PORT: '0',
      POSTHORN_ALLOW_NETWORKS: '127.0.0.0/8,::1/128',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    output.stdout += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    output.stderr += chunk;
  });
  const exited = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.on('close', (code, signal) => resolve(code ?? signal));
  });
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await exited;
  });
  return {
    child,
    output,
    exited,
    kill: (signal) => void child.kill(signal),
    url: () =>
      until('the service says where it listens', () => {
        if (child.exitCode !== null) throw new Error(`it ended: ${output.stderr}`);
        return /"url":"([^"]+)"/.exec(output.stderr)?.[1];
      }),
  };
}
