import { Command } from 'commander';
import { loadSettings } from '../config/settings.ts';
import type { Finding } from '../doctor/checks.ts';
import { EXIT } from './exit-codes.ts';
import { coloured, dim, print } from './output.ts';

/** `posthorn doctor`: looks at the database and the settings, and says what to do. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('look at the database and the settings, and say what to do')
    .option('--json', 'print the findings as JSON')
    .addHelpText(
      'after',
      `
It changes nothing. The exit code is 1 if there is a problem; warnings do not count.

Examples:
  $ posthorn doctor
  $ DATABASE_URL=postgres://… posthorn doctor --json | jq '.[] | select(.status == "problem")'`,
    )
    .action(doctor);
}

async function doctor({ json }: { readonly json?: boolean }): Promise<void> {
  const { startEmbeddedPostgres } = await import('../db/embedded/postgres.ts');
  const { openOrExplain } = await import('../db/connect.ts');
  const { examine } = await import('../doctor/checks.ts');
  const settings = loadSettings();
  const embedded =
    settings.databaseUrl === undefined ? await startEmbeddedPostgres(settings.dataDir) : undefined;
  const databaseUrl = settings.databaseUrl ?? (embedded?.url as string);
  let findings: Finding[];
  try {
    const client = await openOrExplain(databaseUrl, 'doctor');
    try {
      findings = await examine({ settings, databaseUrl, client });
    } finally {
      await client.end();
    }
  } finally {
    await embedded?.stop();
  }
  print(json ? JSON.stringify(findings, null, 2) : findings.map(lineOf).join('\n'));
  if (findings.some(({ status }) => status === 'problem')) process.exitCode = EXIT.failed;
}

function lineOf({ check, status, text, advice }: Finding): string {
  const line = `${coloured(status, status.padEnd(8))} ${check.padEnd(21)} ${text}`;
  return advice === null ? line : `${line}\n${' '.repeat(31)}${dim(advice)}`;
}
