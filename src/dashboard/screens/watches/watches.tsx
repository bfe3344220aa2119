import { listBackfills, listWatches, type Watch } from '../../api/client.ts';
import { StateBadge } from '../../components/state-badge.tsx';
import { Empty } from '../../components/states.tsx';
import { type Column, PagedTable } from '../../components/table.tsx';
import { Tabs } from '../../components/tabs.tsx';
import { Time } from '../../components/time.tsx';
import { usePages } from '../../data/use-pages.ts';
import { useUrl } from '../../data/use-url.ts';
import { formatCount } from '../../lib/format.ts';
import { to } from '../../lib/urls.ts';
import { backfillColumns } from './backfills.tsx';
import { NewWatch } from './new-watch.tsx';

const REFRESH_MS = 2_000;
const SHOWN = { tables: 'Tables', rows: 'Existing rows' };

/** The tables whose changes are sent as webhooks, and the sending of rows that they already have. */
export function Watches() {
  const { query, set, link } = useUrl();
  const shown = query.show === 'rows' ? 'rows' : 'tables';
  return (
    <>
      <div class="screen-head">
        <h1>Watched tables</h1>
        <a class="button primary" href={link({ do: 'new' })}>
          Watch a table
        </a>
      </div>
      <div class="filters">
        <Tabs label="What is listed" name="show" choices={SHOWN} current={shown} />
      </div>
      {shown === 'rows' ? <Backfills /> : <Tables />}
      {query.do === 'new' && <NewWatch onClose={() => set({ do: undefined }, true)} />}
    </>
  );
}

const COLUMNS: readonly Column<Watch>[] = [
  {
    head: 'Table',
    cell: ({ id, schema, table }) => (
      <>
        {schema}.{table}
        <span class="second">watch {id}</span>
      </>
    ),
  },
  {
    head: 'Sends',
    cell: ({ event_type, ops, when }) => (
      <>
        <code>{event_type}.*</code>
        <span class="second">
          {ops.join(', ')}
          {when !== null && (
            <>
              {' '}
              when <code>{when.slice(0, 100)}</code>
            </>
          )}
        </span>
      </>
    ),
  },
  {
    head: 'State',
    fit: true,
    cell: ({ enabled, failures, last_failed_at }) => (
      <>
        <StateBadge state={enabled ? 'active' : 'disabled'} />
        {failures > 0 && (
          <>
            <br />
            <span class="badge bad">{formatCount(failures)} not sent</span>
            <span class="second">
              last <Time at={last_failed_at} />
            </span>
          </>
        )}
      </>
    ),
  },
];

function Tables() {
  const pages = usePages((page, signal) => listWatches(page, { signal }), []);
  const { link } = useUrl();
  return (
    <PagedTable
      caption="Watched tables"
      pages={pages}
      columns={COLUMNS}
      keyOf={({ id }) => id}
      href={({ id }) => to(`watches/${id}`)}
      empty={
        <Empty
          title="No table is watched"
          command={`curl ${location.origin}/v1/watches \\
  -H 'content-type: application/json' -d '{"table": "orders"}'`}
        >
          <p>
            Each changed row of a watched table is a webhook, in the transaction that changes it.{' '}
            <a href={link({ do: 'new' })}>Watch a table</a> of this database, or over HTTP:
          </p>
        </Empty>
      }
    />
  );
}

function Backfills() {
  const pages = usePages((page, signal) => listBackfills(page, { signal }), [], {
    everyMs: REFRESH_MS,
  });
  return (
    <PagedTable
      caption="Existing rows that are sent"
      pages={pages}
      columns={backfillColumns(pages.reload)}
      keyOf={({ id }) => id}
      empty={
        <Empty title="No existing rows were sent">
          <p>Open a watched table to send the rows that it already has.</p>
        </Empty>
      }
    />
  );
}
