import { readFile } from 'node:fs/promises';
import { errorCode, errorMessage, OperatorError } from '../lib/errors.ts';
import { EXIT } from './exit-codes.ts';

/**
 * Reads a file, or standard input if its name is `-`.
 *
 * @throws OperatorError that names the file (exit code 2).
 */
export async function readInput(file: string): Promise<Buffer> {
  try {
    return await readFile(file === '-' ? '/dev/stdin' : file);
  } catch (error) {
    const why = errorCode(error) === 'ENOENT' ? 'it does not exist' : errorMessage(error);
    throw new OperatorError(`The file ${file} cannot be read: ${why}.`, { exitCode: EXIT.usage });
  }
}
