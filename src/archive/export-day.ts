import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { createParquetFile } from './parquet-file.ts';
import { ARCHIVE_TABLES, type ArchiveTableName, PLAN, type Row } from './tables.ts';

const DAY_MS = 86_400_000;

/** Where an archive is, and whose history is in it. */
export interface Archive {
  readonly dir: string;
  /** Only this tenant, in a folder of its own; undefined: all. */
  readonly tenant?: string | undefined;
}

/** Returns the path of the file for a day of a table, such as `attempts/2026-11-01.parquet`. */
export function archiveFile({ dir, tenant }: Archive, table: ArchiveTableName, day: Date): string {
  const folder = tenant === undefined ? dir : join(dir, `tenant=${encodeURIComponent(tenant)}`);
  return join(folder, table, `${dayName(day)}.parquet`);
}

export function hasArchiveFile(archive: Archive, table: ArchiveTableName, day: Date): boolean {
  return existsSync(archiveFile(archive, table, day));
}

/** The day as in `2026-11-01`, in UTC. */
export function dayName(day: Date): string {
  return day.toISOString().slice(0, 10);
}

/** Returns the days from one day on and before another, in UTC. */
export function daysBetween(from: Date, until: Date): Date[] {
  const days: Date[] = [];
  for (let at = from.getTime(); at < until.getTime(); at += DAY_MS) days.push(new Date(at));
  return days;
}

/**
 * Writes a day of a table to its Parquet file, in place of an older one. Memory holds one part of it at a time. If it
 * fails, or the process is killed, an older file stays as it was.
 *
 * @param client its planner settings are changed.
 * @param onRows called with each part of the rows.
 * @returns the number of rows.
 */
export async function exportDay(
  client: pg.ClientBase,
  archive: Archive,
  name: ArchiveTableName,
  day: Date,
  onRows: (rows: readonly Row[]) => void = () => {},
): Promise<number> {
  const table = ARCHIVE_TABLES[name];
  const span = { from: day, until: new Date(day.getTime() + DAY_MS), tenant: archive.tenant };
  await client.query(PLAN);
  const file = await createParquetFile(archiveFile(archive, name, day), table.columns);
  let count = 0;
  try {
    for await (const rows of table.read(client, span)) {
      await file.append(rows);
      onRows(rows);
      count += rows.length;
    }
    await file.finish();
  } catch (error) {
    await file.discard();
    throw error;
  }
  return count;
}
