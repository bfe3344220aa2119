import { type EventType, listEventTypes } from '../../api/client.ts';
import { Empty } from '../../components/states.tsx';
import { type Column, PagedTable } from '../../components/table.tsx';
import { Tabs } from '../../components/tabs.tsx';
import { Time } from '../../components/time.tsx';
import { usePages } from '../../data/use-pages.ts';
import { useUrl } from '../../data/use-url.ts';
import { to } from '../../lib/urls.ts';
import { mayChangeTypes } from '../../session.ts';
import { Import } from './import.tsx';
import { Rules } from './rules.tsx';

const SHOWN = { current: 'Current', archived: 'Archived' };

const COLUMNS: readonly Column<EventType>[] = [
  {
    head: 'Event type',
    cell: ({ name, description }) => (
      <>
        <code>{name}</code>
        {description !== null && <span class="second">{description}</span>}
      </>
    ),
  },
  {
    head: 'Schema',
    fit: true,
    wide: true,
    cell: ({ schema }) => (schema === null ? <span class="muted">none</span> : 'yes'),
  },
  {
    head: 'Example',
    fit: true,
    wide: true,
    cell: ({ example }) => (example === null ? <span class="muted">none</span> : 'yes'),
  },
  { head: 'Changed', fit: true, cell: ({ updated_at }) => <Time at={updated_at} /> },
];

/** The catalogue of event types: what this tenant sends, described for those who receive it. */
export function EventTypes() {
  const { query, set, link } = useUrl();
  const archived = query.show === 'archived';
  const pages = usePages(
    (page, signal) =>
      listEventTypes({ ...page, archived: archived ? 'true' : 'false' }, { signal }),
    [archived],
  );
  return (
    <>
      <div class="screen-head">
        <h1>Event types</h1>
        {mayChangeTypes() && (
          <div class="buttons">
            <a class="button" href={link({ do: 'import' })}>
              Import
            </a>
            <a class="button primary" href={to('event-types/new')}>
              New event type
            </a>
          </div>
        )}
      </div>
      <div class="filters">
        <Tabs
          label="Event types"
          name="show"
          choices={SHOWN}
          current={archived ? 'archived' : 'current'}
        />
      </div>
      <PagedTable
        caption="Event types"
        pages={pages}
        columns={COLUMNS}
        keyOf={({ name }) => name}
        href={({ name }) => to(`event-types/${name}`)}
        empty={archived ? <Empty title="No event type is archived" /> : <NoneYet />}
      />
      <Rules />
      {query.do === 'import' && mayChangeTypes() && (
        <Import reload={pages.reload} onClose={() => set({ do: undefined }, true)} />
      )}
    </>
  );
}

function NoneYet() {
  return (
    <Empty
      title="The catalogue is empty"
      command={`curl ${location.origin}/v1/event-types \\
  -H 'content-type: application/json' \\
  -d '{"name": "order.created", "description": "A customer placed an order.", "example": {"id": 7}}'`}
    >
      <p>
        Event types can be sent without being in the catalogue. Those that are in it have a
        description, a JSON Schema and an example, for the people who receive them.
      </p>
    </Empty>
  );
}
