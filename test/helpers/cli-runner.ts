import { fork } from 'node:child_process';
import { join } from 'node:path';
import type { Test } from 'tap';

/** A command line that has ended. */
export interface EndedCommand {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A message that asks cli-runner-child.ts to run a command. */
export interface CommandToRun {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const USE_BUNDLES = join(import.meta.dirname, 'use-bundles.ts');
const CHILD = join(import.meta.dirname, 'cli-runner-child.ts');

/**
 * Starts a process that runs one command line after another, as `posthorn` would each in a process of its own. Most of
 * the time of a command is the start of its process, and a test of all commands runs more than a hundred.
 *
 * It is not for commands that go on without end, or that end their process.
 */
export function startCliRunner(
  t: Test,
): (args: readonly string[], env: Readonly<Record<string, string>>) => Promise<EndedCommand> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(POSTHORN_|TAP|NODE_OPTIONS|DATABASE_URL)/.test(name),
  );
  const child = fork(CHILD, {
    // By its whole path: the options of this process say it from another folder.
    execArgv: ['--import', USE_BUNDLES],
    cwd: import.meta.dirname,
    env: Object.fromEntries(inherited),
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  t.teardown(() => void child.kill('SIGKILL'));
  let last: Promise<unknown> = Promise.resolve();
  const run = (command: CommandToRun) =>
    new Promise<EndedCommand>((resolve, reject) => {
      const onExit = () => reject(new Error(`it ended the process: ${command.args.join(' ')}`));
      child.once('exit', onExit);
      child.once('message', (ended: EndedCommand) => {
        child.off('exit', onExit);
        resolve(ended);
      });
      child.send(command);
    });
  return (args, env) => {
    const ended = last.then(() => run({ args, env }));
    last = ended.catch(() => {});
    return ended;
  };
}
