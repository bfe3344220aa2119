import type { Columns, ColumnType } from './parquet-file.ts';
import type { Row } from './tables.ts';

export const TEXT_FORMATS = ['csv', 'ndjson'] as const;
export type TextFormat = (typeof TEXT_FORMATS)[number];

/** Returns what comes before the rows: in CSV the names of the columns, in NDJSON nothing. */
export function headOf(columns: Columns, format: TextFormat): string {
  return format === 'csv' ? `${Object.keys(columns).join(',')}\n` : '';
}

/**
 * Returns rows as text, one a line.
 *
 * Times are in ISO 8601 with microseconds, bytes in base64. CSV is that of RFC 4180, but for its line ends, which are
 * those of Postgres and of tools for text (LF); null is an empty field, and an empty text is `""`, as in Postgres' COPY.
 */
export function linesOf(rows: readonly Row[], columns: Columns, format: TextFormat): string {
  const types = Object.entries(columns);
  const line = format === 'csv' ? csvLine : jsonLine;
  return rows.map((row) => `${line(row, types)}\n`).join('');
}

function jsonLine(row: Row, types: readonly [string, ColumnType][]): string {
  const fields = types.map(([name, type]) => [name, plain(row[name], type)]);
  return JSON.stringify(Object.fromEntries(fields));
}

function csvLine(row: Row, types: readonly [string, ColumnType][]): string {
  return types.map(([name, type]) => csvField(plain(row[name], type))).join(',');
}

function csvField(value: unknown): string {
  if (value === null) return '';
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function plain(value: unknown, type: ColumnType): unknown {
  if (value === null || value === undefined) return null;
  if (type === 'timestamp') return timeOf(Number(value));
  if (type === 'bytes') return (value as Buffer).toString('base64');
  // Postgres' driver gives them as text. An id is far from the largest exact number.
  return type === 'bigint' ? Number(value) : value;
}

/** Years until 2255 are exact numbers of microseconds. */
function timeOf(micros: number): string {
  const iso = new Date(Math.floor(micros / 1000)).toISOString();
  return `${iso.slice(0, -1)}${String(micros % 1000).padStart(3, '0')}Z`;
}
