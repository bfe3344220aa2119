import cluster from 'node:cluster';
import { Command } from 'commander';
import { OperatorError } from '../lib/errors.ts';
import { VERSION } from '../version.ts';
import { demoCommand } from './demo.ts';
import { exportCommand } from './export.ts';
import { keysCommand } from './keys.ts';
import { migrateCommand } from './migrate.ts';
import { sendCommand } from './send.ts';
import { startCommand } from './start.ts';

/** Reads the command line and runs the command it names. */
export async function runCli(argv: string[]): Promise<void> {
  const program = new Command('posthorn')
    .description('Webhook delivery that needs nothing but Postgres.')
    .version(VERSION, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .showHelpAfterError('(posthorn --help shows what there is)')
    .addHelpText(
      'after',
      `
Examples:
  $ posthorn start                     API and worker, on an embedded Postgres
  $ DATABASE_URL=postgres://… posthorn start
  $ posthorn demo                      see 1,000 webhooks delivered and retried
  $ posthorn send 1 '{"hello":"world"}'

Settings come from the environment or a .env file; the README lists them.`,
    );
  const commands = [
    startCommand(),
    migrateCommand(),
    keysCommand(),
    exportCommand(),
    demoCommand(),
    sendCommand(),
  ];
  for (const command of commands) program.addCommand(command);
  if (argv.length <= 2) {
    program.outputHelp();
    return;
  }
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    // Empty if the command has already printed the problem.
    if (error.message !== '') process.stderr.write(`posthorn: ${error.message}\n`);
    process.exitCode = error.exitCode;
    // The channel to the supervisor would keep it alive.
    if (cluster.isWorker) process.exit();
  }
}
