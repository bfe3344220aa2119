import { useEffect, useState } from 'preact/hooks';
import { type ListWebhooksData, listDeliveries, listWebhooks } from '../../api/client.ts';
import { Empty } from '../../components/states.tsx';
import { PagedTable } from '../../components/table.tsx';
import { Time } from '../../components/time.tsx';
import { type PageOf, usePages } from '../../data/use-pages.ts';
import { useStream } from '../../data/use-stream.ts';
import { useUrl } from '../../data/use-url.ts';
import { to } from '../../lib/urls.ts';
import { SendFirst } from '../overview/first-steps.tsx';
import { keyOf, OF_DELIVERIES, OF_WEBHOOKS, type Row } from './columns.tsx';
import { Filters, STATES } from './filters.tsx';
import { SEARCHES } from './more-filters.tsx';
import { useNewRows } from './use-new-rows.ts';

/** How often the list is read while nothing tells that it has changed. */
const UNTOLD_EVERY_MS = 2_000;
/** While events tell: some changes have no event. */
const TOLD_EVERY_MS = 15_000;

/** Finds webhooks. With a subscription or a state, the rows are deliveries. */
export function Webhooks() {
  const { query, set } = useUrl();
  const { event_type, subscription_id, state, since, until, webhook_id } = query;
  const searches = SEARCHES.map((name) => query[name]);
  const searching = searches.some((value) => value !== undefined);
  const ofDeliveries =
    !searching && [subscription_id, state, webhook_id].some((value) => value !== undefined);
  // A search reads much of the history, and so is not repeated by itself.
  const live =
    query.live !== 'off' && until === undefined && query.cursor === undefined && !searching;
  const [reading, setReading] = useState(false);
  const filters = { event_type, since, until };
  const follows = live && !reading;
  const [failed, setFailed] = useState(false);
  const told = useStream({ event_type, subscription_id }, follows && !failed, () => pages.reload());
  const pages = usePages<Row>(
    async (page, signal): Promise<PageOf<Row>> =>
      ofDeliveries
        ? await listDeliveries(
            {
              ...filters,
              ...page,
              subscription_id: subscription_id as number | undefined,
              webhook_id,
              state: STATES.find((name) => name === state),
            },
            { signal },
          )
        : await listWebhooks(
            {
              ...filters,
              ...page,
              ...(searching ? searchOf(query) : {}),
              include: 'deliveries',
            },
            { signal },
          ),
    [event_type, subscription_id, state, since, until, webhook_id, ...searches],
    { everyMs: follows ? (told ? TOLD_EVERY_MS : UNTOLD_EVERY_MS) : undefined },
  );
  // A filter that the API does not take has no events either.
  useEffect(() => setFailed(pages.error !== undefined), [pages.error]);
  const searchedUntil = (pages.data as ListWebhooksData | undefined)?.searched_until;
  const isNew = useNewRows(pages.rows, keyOf);
  const filtered =
    ofDeliveries || searching || Object.values(filters).some((value) => value !== undefined);
  return (
    <>
      <div class="screen-head">
        <h1>Webhooks</h1>
        <button
          type="button"
          class="button plain"
          aria-pressed={query.live !== 'off' && !searching}
          onClick={() => set({ live: query.live === 'off' ? undefined : 'off' }, true)}
        >
          <span class={`live-dot ${follows && !pages.stale ? 'on' : ''}`} />
          {query.live === 'off' || searching
            ? 'Live: off'
            : pages.stale
              ? 'Live: interrupted'
              : reading && live
                ? 'Live: waits'
                : 'Live'}
        </button>
      </div>
      <Filters error={pages.error} />
      {searching && searchedUntil != null && (
        <p class="muted">
          Searched back to <Time at={searchedUntil} />. The next page goes on from there.
        </p>
      )}
      {/* Rows must not move away from a mouse or a focus. */}
      <div
        onPointerEnter={({ pointerType }) => setReading(pointerType === 'mouse')}
        onPointerLeave={() => setReading(false)}
        onFocusIn={() => setReading(true)}
        onFocusOut={() => setReading(false)}
      >
        <PagedTable
          caption={ofDeliveries ? 'Deliveries' : 'Webhooks'}
          columns={ofDeliveries ? OF_DELIVERIES : OF_WEBHOOKS}
          pages={pages}
          keyOf={keyOf}
          href={({ webhook_id }) => to(`webhooks/${webhook_id}`)}
          marked={isNew}
          empty={
            filtered ? (
              <Empty title="Nothing matches">
                <p>
                  No webhook matches these filters. <a href={to('webhooks')}>Show all webhooks</a>
                </p>
              </Empty>
            ) : (
              <SendFirst />
            )
          }
        />
      </div>
    </>
  );
}

/** The parameters of a search. The API says which of them it does not take. */
function searchOf(query: Readonly<Partial<Record<string, string>>>) {
  const { subscription_id, state, response_code, error_code, channel, ordering_key, body_path } =
    query;
  return {
    subscription_id: subscription_id as number | undefined,
    state: STATES.find((name) => name === state),
    response_code: response_code as number | undefined,
    error_code,
    channel,
    ordering_key,
    body_path,
  };
}
