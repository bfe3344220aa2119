import type { ComponentChildren, Key } from 'preact';
import type { Pages } from '../data/use-pages.ts';
import { Show } from './states.tsx';

export interface Column<Row> {
  readonly head: string;
  readonly cell: (row: Row) => ComponentChildren;
  /** Numbers stand at the right. */
  readonly align?: 'right';
  /** Left out on a narrow screen. */
  readonly wide?: true;
  /** As narrow as its content; the other columns share the rest. */
  readonly fit?: true;
}

interface TableProps<Row> {
  /** What the table lists, for screen readers. */
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => Key;
  /** Where a row leads: its first cell is the link, and the whole row can be pressed. `j`, `k` and Enter follow it. */
  readonly href?: (row: Row) => string;
  /** Which row is marked as new or chosen. */
  readonly marked?: (row: Row) => boolean;
}

/** A table. */
export function Table<Row>({ caption, columns, rows, keyOf, href, marked }: TableProps<Row>) {
  return (
    <table class="table">
      <caption class="visually-hidden">{caption}</caption>
      <thead>
        <tr>
          {columns.map((column) => (
            <th key={column.head} scope="col" class={classOf(column)}>
              {column.head}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr
            key={keyOf(row)}
            class={`${href === undefined ? '' : 'linked'} ${marked?.(row) ? 'marked' : ''}`}
          >
            {columns.map((column, n) => (
              <td key={column.head} class={classOf(column)}>
                {n === 0 && href !== undefined ? (
                  <a class="row-link" href={href(row)} data-row>
                    {column.cell(row)}
                  </a>
                ) : (
                  column.cell(row)
                )}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function classOf({ align, wide, fit }: Column<never>): string {
  return [align, wide && 'wide', fit && 'fit'].filter(Boolean).join(' ');
}

/** A table of a list of the API, with the buttons for its pages, or what stands there when it is empty. */
export function PagedTable<Row>({
  pages,
  empty,
  ...table
}: Omit<TableProps<Row>, 'rows'> & { pages: Pages<Row>; empty: ComponentChildren }) {
  return (
    <Show loaded={pages}>
      {({ data }) => (
        <>
          {data.length > 0 ? (
            <Table {...table} rows={data} />
          ) : pages.previous === undefined && pages.next === undefined ? (
            empty
          ) : (
            <p class="muted">
              {pages.next === undefined
                ? 'There are no more.'
                : 'Nothing that matches was found in this part of the history. The search goes on with the next page.'}
            </p>
          )}
          <PageButtons pages={pages} />
        </>
      )}
    </Show>
  );
}

/** The buttons that go to the page before and after; nothing if there is one page. */
export function PageButtons<Row>({ pages }: { pages: Pages<Row> }) {
  if (pages.previous === undefined && pages.next === undefined) return null;
  return (
    <nav class="pages" aria-label="Pages">
      <button
        type="button"
        class="button plain"
        disabled={pages.previous === undefined}
        onClick={pages.previous}
      >
        ← Previous
      </button>
      <button
        type="button"
        class="button plain"
        disabled={pages.next === undefined}
        onClick={pages.next}
      >
        Next →
      </button>
    </nav>
  );
}
