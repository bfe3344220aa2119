import type { ApiError } from '../../api/request.ts';
import { Field } from '../../components/field.tsx';
import { SearchText } from '../../components/search-text.tsx';
import { useUrl } from '../../data/use-url.ts';
import { webhookIdIn } from '../../lib/ids.ts';
import { to } from '../../lib/urls.ts';
import { MoreFilters, SEARCHES } from './more-filters.tsx';

export const STATES = ['pending', 'held', 'failed', 'cancelled', 'succeeded'] as const;

const NAMES = ['event_type', 'subscription_id', 'state', 'since', 'until', 'webhook_id'];

/** The filters of the list. They are in the URL, and change the list when a field is left or Enter is pressed. */
export function Filters({ error }: { error: ApiError | undefined }) {
  const { query, set, go } = useUrl();
  const change = (changes: Record<string, string | undefined>) =>
    set({ ...changes, cursor: undefined });
  const filtered = [...NAMES, ...SEARCHES].some((name) => query[name] !== undefined);

  function search(text: string) {
    const id = webhookIdIn(text);
    if (id !== undefined) go(to(`webhooks/${id}`));
    else change({ event_type: text.trim() });
  }

  return (
    <search class="filters">
      <Field label="Event type or id" name="event_type" error={error} wide>
        {(input) => (
          <SearchText
            {...input}
            data-search
            placeholder="order.created"
            value={query.event_type ?? ''}
            onDone={search}
          />
        )}
      </Field>
      <Field label="Subscription" name="subscription_id" error={error}>
        {(input) => (
          <SearchText
            {...input}
            inputMode="numeric"
            placeholder="Id"
            value={query.subscription_id ?? ''}
            onDone={(subscription_id) => change({ subscription_id })}
          />
        )}
      </Field>
      <Field label="State" name="state" error={error}>
        {(input) => (
          <select
            {...input}
            value={query.state ?? ''}
            onChange={(event) => change({ state: event.currentTarget.value })}
          >
            <option value="">Any</option>
            {STATES.map((state) => (
              <option key={state} value={state}>
                {state}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label="From" name="since" error={error} wide>
        {(input) => (
          <input
            {...input}
            type="datetime-local"
            value={localOf(query.since)}
            onChange={(event) => change({ since: isoOf(event.currentTarget.value) })}
          />
        )}
      </Field>
      <Field label="Until" name="until" error={error} wide>
        {(input) => (
          <input
            {...input}
            type="datetime-local"
            value={localOf(query.until)}
            onChange={(event) => change({ until: isoOf(event.currentTarget.value) })}
          />
        )}
      </Field>
      <MoreFilters error={error} onChange={change} />
      {filtered && (
        <a class="button plain" href={to('webhooks')}>
          Clear
        </a>
      )}
    </search>
  );
}

/** A time of the API as a field of local time has it; empty: none. */
function localOf(iso: string | undefined): string {
  const date = new Date(iso ?? '');
  if (Number.isNaN(date.getTime())) return '';
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function isoOf(local: string): string | undefined {
  return local === '' ? undefined : new Date(local).toISOString();
}
