import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { errorMessage } from '../lib/errors.ts';
import { VERSION } from '../version.ts';

/** The types of columns. A timestamp is a whole number of microseconds since 1970. */
export type ColumnType =
  | 'uuid'
  | 'text'
  | 'json'
  | 'texts'
  | 'integer'
  | 'bigint'
  | 'boolean'
  | 'timestamp'
  | 'bytes';

export type Columns = Readonly<Record<string, ColumnType>>;

type Schema = ConstructorParameters<typeof ParquetWriter>[0]['schema'];
type ColumnData = Parameters<ParquetWriter['write']>[0]['columnData'][number]['data'];

/** A Parquet file that is being written. It has its name only once it is whole. */
export interface ParquetFile {
  /** Adds rows as a row group, and returns when they are in the file. Nothing of them stays in memory. */
  append(rows: readonly Readonly<Record<string, unknown>>[]): Promise<void>;
  /** Ends the file, waits until it is on the disk, and gives it its name, in place of an older one. */
  finish(): Promise<void>;
  /** Removes what was written. */
  discard(): Promise<void>;
}

/** The end of the name of an unfinished file. */
const PARTIAL = '.partial';
/** No export of a day takes so long; the process that wrote the file was killed. */
const LEFT_BEHIND_MS = 86_400_000;

/** Begins a file in a folder, which is created if it is missing. Unfinished files of killed processes are removed there. */
export async function createParquetFile(path: string, columns: Columns): Promise<ParquetFile> {
  const folder = dirname(path);
  const partial = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}${PARTIAL}`);
  const writing = <T>(work: () => Promise<T>): Promise<T> => explaining(path, work);
  const file = await writing(async () => {
    await mkdir(folder, { recursive: true });
    await removeLeftBehind(folder);
    return await open(partial, 'wx');
  });
  const bytes = new ByteWriter();
  const writer = new ParquetWriter({
    writer: bytes,
    schema: schemaOf(columns),
    codec: 'ZSTD',
    compressors: { ZSTD: (input) => zstdCompressSync(input) },
    createdBy: `posthorn ${VERSION}`,
  });

  async function flush(): Promise<void> {
    await file.writeFile(bytes.getBytes());
    bytes.index = 0;
  }

  return {
    async append(rows) {
      if (rows.length === 0) return;
      await writer.write({
        columnData: Object.entries(columns).map(([name, type]) => ({
          name,
          data: rows.map((row) => asColumn(row[name], type)) as ColumnData,
          // Bodies are large and differ, so looking for equal ones is in vain.
          ...(type === 'bytes' ? { encoding: 'PLAIN', statistics: false } : {}),
        })),
        rowGroupSize: rows.length,
      });
      await writing(flush);
    },
    async finish() {
      await writer.finish();
      await writing(async () => {
        await flush();
        await file.sync();
        await file.close();
        await rename(partial, path);
        await syncFolder(folder);
      });
    },
    async discard() {
      await file.close().catch(() => {});
      await rm(partial, { force: true });
    },
  };
}

function asColumn(value: unknown, type: ColumnType): unknown {
  const isBig = type === 'bigint' || type === 'timestamp';
  return isBig && value !== null ? BigInt(value as number | string) : value;
}

/** The errors of files have codes like those of a database that is away (ENOENT). */
async function explaining<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Error(`${path} cannot be written: ${errorMessage(error)}`, { cause: error });
  }
}

/** Until then, a crash of the machine could take the new name away again. */
async function syncFolder(folder: string): Promise<void> {
  const opened = await open(folder, 'r');
  try {
    await opened.sync();
  } finally {
    await opened.close();
  }
}

async function removeLeftBehind(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith(PARTIAL)) continue;
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > LEFT_BEHIND_MS)
      await rm(path, { force: true });
  }
}

function schemaOf(columns: Columns): Schema {
  const elements = Object.entries(columns).flatMap(([name, type]) => elementsOf(name, type));
  return [{ name: 'root', num_children: Object.keys(columns).length }, ...elements];
}

function elementsOf(name: string, type: ColumnType): Schema {
  const column = { name, repetition_type: 'OPTIONAL' } as const;
  switch (type) {
    case 'uuid':
      return [
        {
          ...column,
          type: 'FIXED_LEN_BYTE_ARRAY',
          type_length: 16,
          logical_type: { type: 'UUID' },
        },
      ];
    case 'text':
      return [{ ...column, type: 'BYTE_ARRAY', converted_type: 'UTF8' }];
    case 'json':
      return [{ ...column, type: 'BYTE_ARRAY', converted_type: 'JSON' }];
    case 'texts':
      return [
        { ...column, num_children: 1, converted_type: 'LIST' },
        { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
        {
          name: 'element',
          repetition_type: 'OPTIONAL',
          type: 'BYTE_ARRAY',
          converted_type: 'UTF8',
        },
      ];
    case 'integer':
      return [{ ...column, type: 'INT32' }];
    case 'bigint':
      return [{ ...column, type: 'INT64' }];
    case 'boolean':
      return [{ ...column, type: 'BOOLEAN' }];
    case 'timestamp':
      return [
        {
          ...column,
          type: 'INT64',
          logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
        },
      ];
    case 'bytes':
      return [{ ...column, type: 'BYTE_ARRAY' }];
  }
}
