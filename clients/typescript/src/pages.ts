import type { paths } from './api.d.ts';

/** The answer of a list. */
interface Page {
  readonly data: readonly unknown[];
  readonly next_cursor: string | null;
}

type Answer<Path extends keyof paths> = paths[Path] extends {
  get: { responses: { 200: { content: { 'application/json': infer Body } } } };
}
  ? Body
  : never;

/** The paths of lists, which have pages. */
export type ListPath = {
  [Path in keyof paths]: [Answer<Path>] extends [never]
    ? never
    : Answer<Path> extends Page
      ? Path
      : never;
}[keyof paths];

/** A row of a list. */
export type Row<Path extends ListPath> =
  Answer<Path> extends {
    data: readonly (infer One)[];
  }
    ? One
    : never;

/** The filters of a list. `limit` is the number of rows of a page, not of all. */
export type Filters<Path extends ListPath> = paths[Path] extends {
  get: { parameters: { query?: infer Query } };
}
  ? Omit<NonNullable<Query>, 'cursor'>
  : never;

/** Reads pages, one after another, when their rows are asked for. */
export async function* rowsOf<One>(
  readPage: (cursor: string | undefined) => Promise<{ data: One[]; next_cursor: string | null }>,
): AsyncGenerator<One, void, undefined> {
  let cursor: string | undefined;
  do {
    const { data, next_cursor } = await readPage(cursor);
    yield* data;
    cursor = next_cursor ?? undefined;
  } while (cursor !== undefined);
}
