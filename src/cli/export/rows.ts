import { statSync } from 'node:fs';
import type { ArchiveTableName, Span } from '../../archive/tables.ts';
import type { TextFormat } from '../../archive/text-rows.ts';
import { createWholeFile } from '../../archive/whole-file.ts';
import { errorCode, OperatorError } from '../../lib/errors.ts';
import { EXIT } from '../exit-codes.ts';
import { print } from '../output.ts';
import { withHistory } from './database.ts';
import { createProgress } from './progress.ts';

/** The rows of a table that are exported, and the file. */
export interface RowsExport {
  readonly table: ArchiveTableName;
  readonly format: TextFormat;
  readonly span: Span;
  /** A file; undefined: standard output. */
  readonly to?: string | undefined;
  readonly overwrite?: boolean | undefined;
  readonly json?: boolean | undefined;
}

interface Output {
  write(text: string): Promise<void>;
  finish(): Promise<void>;
  discard(): Promise<void>;
}

/** The reader of standard output, such as head, has had enough. */
class PipeClosed extends Error {}

/** Writes a table as lines of text, to a file that has its name when it is whole, or to standard output. */
export async function exportRows(rows: RowsExport): Promise<void> {
  const { table, to, json } = rows;
  if (to !== undefined) requireFree(to, rows.overwrite === true);
  const total = await writeRows(rows);
  if (total === undefined) return;
  if (json) print(JSON.stringify({ table, file: to, ...total }, null, 2));
  else process.stderr.write(`${table}: ${total.rows} rows\n`);
}

/** @throws OperatorError for a file that is there, unless it may be replaced, and for what is no file. */
function requireFree(path: string, overwrite: boolean): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || (overwrite && found.isFile())) return;
  throw new OperatorError(
    found.isFile()
      ? `${path} exists already. Give --overwrite to replace it.`
      : `${path} is not a file. To write to a pipe or a device, leave out --to and redirect the output.`,
    { exitCode: EXIT.usage },
  );
}

/** Returns the size of what was written; undefined: the reader had enough. */
async function writeRows(
  what: RowsExport,
): Promise<{ readonly rows: number; readonly bytes: number } | undefined> {
  const { readAsText } = await import('../../archive/export-rows.ts');
  const progress = createProgress(what.table, what.span);
  let total = { rows: 0, bytes: 0 };
  try {
    await withHistory(async (client) => {
      const output = what.to === undefined ? toStdout() : await createWholeFile(what.to);
      try {
        for await (const { text, rows } of readAsText(client, what)) {
          await output.write(text);
          total = { rows: total.rows + rows.length, bytes: total.bytes + Buffer.byteLength(text) };
          progress.show(total, rows.at(-1)?.webhook_id as string | undefined);
        }
        await output.finish();
      } catch (error) {
        await output.discard();
        // This is no failure of the export, whose failures are explained.
        if (error instanceof PipeClosed) throw new OperatorError('', { cause: error });
        throw error;
      }
    });
    return total;
  } catch (error) {
    if ((error as Error).cause instanceof PipeClosed) return undefined;
    throw error;
  } finally {
    progress.end();
  }
}

/** Standard output. Text is taken only when the reader has read what came before. */
function toStdout(): Output {
  // Other commands end here at once. An export may have to stop the embedded Postgres before.
  process.stdout.removeAllListeners('error').on('error', () => {});
  // On a terminal, texts of receivers must not change what it shows.
  const shown = process.stdout.isTTY
    ? (text: string) => text.replace(/[^\P{Cc}\n]/gu, ' ')
    : (text: string) => text;
  return {
    write: (text) =>
      new Promise((resolve, reject) => {
        process.stdout.write(shown(text), (error) => {
          if (error === null || error === undefined) resolve();
          else reject(errorCode(error) === 'EPIPE' ? new PipeClosed() : error);
        });
      }),
    finish: async () => {},
    discard: async () => {},
  };
}
