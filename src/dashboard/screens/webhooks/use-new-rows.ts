import { useRef } from 'preact/hooks';

/**
 * Returns a function that tells which rows have come since the list was first read, so that they can be marked as they
 * arrive. A list that is shorter, because it has other filters, is read for the first time again.
 */
export function useNewRows<Row>(
  rows: readonly Row[] | undefined,
  keyOf: (row: Row) => string,
): (row: Row) => boolean {
  const known = useRef<{ rows?: readonly Row[]; before: Set<string>; now: Set<string> }>({
    before: new Set(),
    now: new Set(),
  });
  const { current } = known;
  if (rows === undefined) {
    current.before = new Set();
    current.now = new Set();
    delete current.rows;
  } else if (rows !== current.rows) {
    const keys = new Set(rows.map(keyOf));
    current.before = current.rows === undefined ? keys : current.now;
    current.now = keys;
    current.rows = rows;
  }
  return (row) => !current.before.has(keyOf(row));
}
