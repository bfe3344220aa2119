import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { OperatorError } from '../lib/errors.ts';

/**
 * Reads the texts of the settings: from the environment, and what it does not have from a `.env` file.
 *
 * @throws OperatorError if there is a `.env` that cannot be read.
 */
export function readGiven(
  env: Record<string, string | undefined>,
  workingDir: string,
): Record<string, string> {
  return { ...readDotEnv(workingDir), ...withoutEmpty(env) };
}

function readDotEnv(workingDir: string): Record<string, string> {
  const path = resolve(workingDir, '.env');
  if (!existsSync(path)) return {};
  try {
    return withoutEmpty(parseEnv(readFileSync(path, 'utf8')));
  } catch (error) {
    throw new OperatorError(
      `The settings in ${path} cannot be read (${(error as Error).message}). Make it a file that this user may read, or remove it.`,
    );
  }
}

/** Treats empty and blank variables as unset, because compose files and shells make them by accident. */
function withoutEmpty(env: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter(
      (entry): entry is [string, string] => (entry[1] ?? '').trim() !== '',
    ),
  );
}
