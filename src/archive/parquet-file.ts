import { zstdCompressSync } from 'node:zlib';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { VERSION } from '../version.ts';
import { createWholeFile } from './whole-file.ts';

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

/** Begins a file in a folder, which is created if it is missing. Unfinished files of killed processes are removed there. */
export async function createParquetFile(path: string, columns: Columns): Promise<ParquetFile> {
  const file = await createWholeFile(path);
  const bytes = new ByteWriter();
  const writer = new ParquetWriter({
    writer: bytes,
    schema: schemaOf(columns),
    codec: 'ZSTD',
    compressors: { ZSTD: (input) => zstdCompressSync(input) },
    createdBy: `posthorn ${VERSION}`,
  });

  async function flush(): Promise<void> {
    await file.write(bytes.getBytes());
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
      await flush();
    },
    async finish() {
      await writer.finish();
      await flush();
      await file.finish();
    },
    discard: () => file.discard(),
  };
}

function asColumn(value: unknown, type: ColumnType): unknown {
  const isBig = type === 'bigint' || type === 'timestamp';
  return isBig && value !== null ? BigInt(value as number | string) : value;
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
