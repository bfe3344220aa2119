import type { ApiError } from '../../api/request.ts';
import { Field } from '../../components/field.tsx';
import { SearchText } from '../../components/search-text.tsx';
import { useUrl } from '../../data/use-url.ts';

/** Filters for which the API searches through history, part by part. */
export const SEARCHES = [
  'response_code',
  'error_code',
  'channel',
  'ordering_key',
  'body_path',
] as const;
export type Search = (typeof SEARCHES)[number];

const FIELDS: Readonly<Record<Search, { label: string; placeholder: string }>> = {
  response_code: { label: 'Answer', placeholder: '503' },
  error_code: { label: 'Error code', placeholder: 'timeout_connect' },
  channel: { label: 'Channel', placeholder: 'project-7' },
  ordering_key: { label: 'Ordering key', placeholder: 'order-7' },
  body_path: { label: 'Content (JSON path)', placeholder: '$.total > 100' },
};

interface MoreFiltersProps {
  readonly error: ApiError | undefined;
  readonly onChange: (changes: Record<string, string | undefined>) => void;
}

/** The filters that are needed less often. They are open while one of them is in the URL. */
export function MoreFilters({ error, onChange }: MoreFiltersProps) {
  const { query } = useUrl();
  return (
    <details class="more-filters" open={SEARCHES.some((name) => query[name] !== undefined)}>
      <summary>More filters</summary>
      <div class="filters">
        {SEARCHES.map((name) => (
          <Field
            key={name}
            label={FIELDS[name].label}
            name={name}
            error={error}
            wide={name === 'body_path'}
          >
            {(input) => (
              <SearchText
                {...input}
                {...(name === 'response_code' ? { inputMode: 'numeric' as const } : {})}
                placeholder={FIELDS[name].placeholder}
                value={query[name] ?? ''}
                onDone={(text) => onChange({ [name]: text.trim() })}
              />
            )}
          </Field>
        ))}
      </div>
    </details>
  );
}
