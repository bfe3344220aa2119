import { type ChildProcess, type ForkOptions, fork } from 'node:child_process';
import { once } from 'node:events';

/** The system's monotonic clock, in milliseconds: the same in every process of a machine. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

// biome-ignore lint/suspicious/noExplicitAny: each command has arguments and an answer of its own
type Commands = Record<string, (...args: any[]) => unknown>;

interface Call {
  readonly id: number;
  readonly name: string;
  readonly args: unknown[];
}

/** Answers the commands that the parent process calls. A program of the benchmark calls this. */
export function serveCommands(commands: Commands): void {
  process.on('message', async ({ id, name, args }: Call) => {
    try {
      process.send?.({ id, value: await commands[name]?.(...args) });
    } catch (error) {
      process.send?.({ id, error: String(error) });
    }
  });
  process.on('disconnect', () => process.exit());
}

/** A program of the benchmark that runs in a separate process. */
export interface Program {
  readonly pid: number;
  call<T>(name: string, ...args: unknown[]): Promise<T>;
  stop(): Promise<void>;
}

/** Starts one of `bench/programs/`. */
export function startProgram(file: string, options: ForkOptions = {}): Program {
  const child: ChildProcess = fork(new URL(`../programs/${file}`, import.meta.url), options);
  const waiting = new Map<
    number,
    { resolve: (value: never) => void; reject: (error: Error) => void }
  >();
  let calls = 0;
  child.on('message', (message: { id: number; value: never; error?: string }) => {
    const caller = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error === undefined) caller?.resolve(message.value);
    else caller?.reject(new Error(`${file}: ${message.error}`));
  });
  child.on('exit', (code, signal) => {
    for (const { reject } of waiting.values())
      reject(new Error(`${file} ended with ${code ?? signal}`));
  });
  return {
    pid: child.pid as number,
    call: (name, ...args) =>
      new Promise((resolve, reject) => {
        calls += 1;
        waiting.set(calls, { resolve, reject });
        child.send({ id: calls, name, args });
      }),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.disconnect();
      await once(child, 'exit');
    },
  };
}
