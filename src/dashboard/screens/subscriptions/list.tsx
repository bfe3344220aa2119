import { listSubscriptions, type SubscriptionRow } from '../../api/client.ts';
import { Bars, sayCounts } from '../../components/bars.tsx';
import { SearchField } from '../../components/search-field.tsx';
import { Empty } from '../../components/states.tsx';
import { type Column, PagedTable } from '../../components/table.tsx';
import { Tabs } from '../../components/tabs.tsx';
import { usePages } from '../../data/use-pages.ts';
import { useUrl } from '../../data/use-url.ts';
import { formatCount } from '../../lib/format.ts';
import { receiverOf } from '../../lib/receiver.ts';
import { to } from '../../lib/urls.ts';
import { may } from '../../session.ts';
import { ReceiverState } from './receiver-state.tsx';

const REFRESH_MS = 10_000;
const SHOWN = {
  all: 'All',
  active: 'Active',
  failing: 'Failing',
  paused: 'Paused',
  disabled: 'Disabled',
} as const;
type Shown = keyof typeof SHOWN;

const COLUMNS: readonly Column<SubscriptionRow>[] = [
  {
    head: 'Receiver',
    cell: ({ id, url, description }) => (
      <>
        <span class="url">{receiverOf(url)}</span>
        <span class="second">
          {id}
          {description !== null && ` · ${description}`}
        </span>
      </>
    ),
  },
  {
    head: 'State',
    fit: true,
    cell: ({ status, health }) => (
      <ReceiverState
        status={status}
        circuit={health?.circuit.state}
        failing={(health?.failing_since ?? null) !== null}
      />
    ),
  },
  {
    head: 'Last 24 hours',
    fit: true,
    wide: true,
    cell: ({ health }) => (
      <>
        <Bars bars={health?.hours ?? []} label="Attempts by hour" />
        <span class="second">{sayCounts(health?.hours ?? [])}</span>
      </>
    ),
  },
  {
    head: 'Held',
    fit: true,
    align: 'right',
    cell: ({ health }) =>
      health === undefined || health.held === 0 ? (
        <span class="muted">0</span>
      ) : (
        `${formatCount(health.held)}${health.held_more ? '+' : ''}`
      ),
  },
  {
    head: 'Limit',
    fit: true,
    wide: true,
    align: 'right',
    cell: ({ rate_limit }) =>
      rate_limit === null ? (
        <span class="muted">none</span>
      ) : (
        `${formatCount(rate_limit.limit)} per ${rate_limit.per}`
      ),
  },
];

/** All subscriptions: which receivers are well, and which need somebody. */
export function Subscriptions() {
  const { query } = useUrl();
  const shown: Shown =
    query.show !== undefined && query.show in SHOWN ? (query.show as Shown) : 'all';
  const { search } = query;
  const pages = usePages(
    (page, signal) =>
      listSubscriptions({ ...page, ...filterOf(shown), search, include: 'health' }, { signal }),
    [shown, search],
    { everyMs: REFRESH_MS },
  );
  return (
    <>
      <div class="screen-head">
        <h1>Subscriptions</h1>
        {may('manage') && (
          <a class="button primary" href={to('subscriptions/new')}>
            New subscription
          </a>
        )}
      </div>
      <div class="filters">
        <Tabs label="State" name="show" choices={SHOWN} current={shown} />
        <SearchField label="Search in URLs and descriptions" name="search" wide />
      </div>
      <PagedTable
        caption="Subscriptions"
        pages={pages}
        columns={COLUMNS}
        keyOf={({ id }) => id}
        href={({ id }) => to(`subscriptions/${id}`)}
        empty={shown === 'all' && search === undefined ? <NoneYet /> : <NoneFound />}
      />
    </>
  );
}

function filterOf(shown: Shown) {
  if (shown === 'all') return {};
  return shown === 'failing' ? { failing: 'true' as const } : { status: shown };
}

function NoneYet() {
  return (
    <Empty
      title="There are no subscriptions yet"
      command={`curl ${location.origin}/v1/subscriptions \\
  -H 'content-type: application/json' \\
  -d '{"url": "https://example.com/webhooks", "event_types": ["order.*"]}'`}
    >
      <p>
        A subscription is the URL of a receiver and what it gets: event types, channels, a filter.
        {may('manage') && (
          <>
            {' '}
            <a href={to('subscriptions/new')}>Create the first one</a>, or send this:
          </>
        )}
      </p>
    </Empty>
  );
}

function NoneFound() {
  return (
    <Empty title="No subscription matches">
      <p>
        <a href={to('subscriptions')}>Show all subscriptions</a>
      </p>
    </Empty>
  );
}
