import type pg from 'pg';
import { ARCHIVE_TABLES, type ArchiveTableName, PLAN, type Row, type Span } from './tables.ts';
import { headOf, linesOf, type TextFormat } from './text-rows.ts';

/** The rows of a table that are exported, and their format. */
export interface TextExport {
  readonly table: ArchiveTableName;
  readonly format: TextFormat;
  readonly span: Span;
}

/**
 * Reads a table of the archive as text, part by part. Memory holds one part, and no transaction lasts for the whole of
 * it. Rows are in the order of their webhooks' ids. What is stored meanwhile may be among them.
 *
 * @param client its planner settings are changed.
 */
export async function* readAsText(
  client: pg.ClientBase,
  { table, format, span }: TextExport,
): AsyncGenerator<{ readonly text: string; readonly rows: readonly Row[] }> {
  const { columns, read } = ARCHIVE_TABLES[table];
  await client.query(PLAN);
  yield { text: headOf(columns, format), rows: [] };
  for await (const rows of read(client, span)) yield { text: linesOf(rows, columns, format), rows };
}
