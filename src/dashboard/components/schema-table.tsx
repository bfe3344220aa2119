import { Fragment } from 'preact';
import { useMemo } from 'preact/hooks';
import { type SchemaRow, schemaRows } from '../lib/schema-rows.ts';
import { WithCode } from './with-code.tsx';

interface SchemaTableProps {
  /** What the table describes, for screen readers. */
  readonly caption: string;
  readonly schema: unknown;
  /** What the references of the schema are relative to. */
  readonly root: unknown;
}

/** The fields of a JSON Schema. Each has its path as its id, so that a link can lead to it. */
export function SchemaTable({ caption, schema, root }: SchemaTableProps) {
  const { rows, complete } = useMemo(() => schemaRows(schema, root), [schema, root]);
  return (
    <>
      <table class="table fields">
        <caption class="visually-hidden">{caption}</caption>
        <thead>
          <tr>
            <th scope="col">Field</th>
            <th scope="col">Type</th>
            <th scope="col">Meaning</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row, n) => (
            <Row key={n} row={row} />
          ))}
        </tbody>
      </table>
      {!complete && <p class="hint">The JSON Schema says more than this table shows.</p>}
    </>
  );
}

function Row({ row: { path, type, required, description, rules } }: { row: SchemaRow }) {
  return (
    <tr id={path}>
      <th scope="row">
        <a href={`#${encodeURIComponent(path)}`}>
          <code>
            {path.split('.').map((part, n) => (
              <Fragment key={n}>
                {n > 0 && '.'}
                {n > 0 && <wbr />}
                {part}
              </Fragment>
            ))}
          </code>
        </a>
        {!required && <span class="second">may be missing</span>}
      </th>
      <td>{type}</td>
      <td>
        {description !== null && (
          <p>
            <WithCode text={description} />
          </p>
        )}
        {rules.length > 0 && <p class="muted">{rules.join('; ')}</p>}
      </td>
    </tr>
  );
}
