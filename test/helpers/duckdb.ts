import type { Test } from 'tap';

/** Runs a query of DuckDB, such as on Parquet files, and returns its rows with values as in JSON. */
export type DuckDbQuery = (sql: string) => Promise<Record<string, unknown>[]>;

/** Opens a DuckDB in memory until the test ends; undefined where its package has no program for this machine. */
export async function openDuckDb(t: Test): Promise<DuckDbQuery | undefined> {
  const loaded = await import('@duckdb/node-api').catch(() => undefined);
  if (loaded === undefined) return undefined;
  const instance = await loaded.DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  t.teardown(() => {
    connection.closeSync();
    instance.closeSync();
  });
  return async (sql) => (await connection.runAndReadAll(sql)).getRowObjectsJson();
}
