import cluster from 'node:cluster';
import { Command, CommanderError } from 'commander';
import { OperatorError } from '../lib/errors.ts';
import { VERSION } from '../version.ts';
import { EXIT } from './exit-codes.ts';
import { startCommand } from './start.ts';

/** Reads the command line and runs the command it names. */
export async function runCli(argv: string[]): Promise<void> {
  const program = new Command('posthorn')
    .description('Webhook delivery that needs nothing but Postgres.')
    .version(VERSION, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .addHelpText(
      'after',
      `
Examples:
  $ posthorn start                     API and worker, on an embedded Postgres
  $ DATABASE_URL=postgres://… posthorn start
  $ posthorn demo                      see 1,000 webhooks delivered and retried
  $ posthorn send 1 '{"hello":"world"}'
  $ posthorn subscriptions create https://example.com/hook --types 'order.*'
  $ posthorn get <webhook id>          what happened to a webhook, and why

Settings come from the environment or a .env file; the README lists them. Commands that call a running Posthorn
take its URL and a key from options, POSTHORN_URL and POSTHORN_KEY, or a profile in ~/.config/posthorn/config.json.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused, 5 not reachable.`,
    );
  // What a service loads, it keeps for as long as it runs.
  const others = argv[2] === 'start' ? [] : (await import('./commands.ts')).createCommands();
  for (const command of [startCommand(), ...others]) program.addCommand(command);
  throwUsageErrors(program);
  // The reader of a pipe, such as head, may have enough before the end.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  if (argv.length <= 2) {
    program.outputHelp();
    return;
  }
  try {
    await program.parseAsync(argv);
  } catch (error) {
    // Commander has printed it already. Asking for help is no error.
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : EXIT.usage;
      return;
    }
    if (!(error instanceof OperatorError)) throw error;
    // Empty if the command has already printed the problem.
    if (error.message !== '') process.stderr.write(`posthorn: ${error.message}\n`);
    process.exitCode = error.exitCode;
    // The channel to the supervisor would keep it alive.
    if (cluster.isWorker) process.exit();
  }
}

/**
 * Makes commander throw instead of ending the process with 1, so that wrong usage has an exit code of its own, and
 * print its errors as all others: in one line.
 */
function throwUsageErrors(command: Command, path = command.name()): void {
  command.exitOverride().configureOutput({
    outputError: (text, write) => write(`posthorn: ${usageError(text)} See ${path} --help.\n`),
  });
  for (const subcommand of command.commands)
    throwUsageErrors(subcommand, `${path} ${subcommand.name()}`);
}

/** Turns "error: unknown command 'gte'\n(Did you mean get?)" into a sentence. */
function usageError(text: string): string {
  const [problem = '', suggestion] = text.trim().split('\n');
  const sentence = problem.replace(/^error: /, '').replace(/\.$/, '');
  const meant = suggestion?.match(/^\(Did you mean (.*)\?\)$/)?.[1];
  return meant === undefined ? `${sentence}.` : `${sentence}; did you mean ${meant}?`;
}
