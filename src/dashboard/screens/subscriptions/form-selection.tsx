import { useState } from 'preact/hooks';
import { listEventTypes, type TestFilterData, testFilter } from '../../api/client.ts';
import { Action } from '../../components/button.tsx';
import { Pairs } from '../../components/pairs.tsx';
import { SelectField, TextField } from '../../components/text-field.tsx';
import { useData } from '../../data/use-data.ts';
import { formatCount } from '../../lib/format.ts';
import { payloadOf } from './draft.ts';
import type { PartProps } from './form.tsx';

type ListProps = Omit<PartProps, 'textField'>;

/** How the receiver gets its webhooks, its URL, and what people say about it. */
export function AboutFields({
  draft,
  change,
  error,
  textField,
  isNew,
}: PartProps & { isNew: boolean }) {
  return (
    <fieldset class="part">
      <legend>Receiver</legend>
      {isNew && (
        <SelectField
          label="How it gets webhooks"
          name="receiver"
          error={undefined}
          value={draft.receiver}
          onChange={(receiver) => change({ receiver: receiver === 'pull' ? 'pull' : 'url' })}
          choices={{
            url: 'Posthorn sends them to a URL',
            pull: 'It pulls them, as behind a firewall',
          }}
        />
      )}
      {draft.receiver === 'url' ? (
        <TextField
          label="URL"
          {...textField('url')}
          type="url"
          required
          placeholder="https://example.com/webhooks"
          hint={
            draft.format === 'notice'
              ? 'A Slack-compatible URL, or mailto: and an address.'
              : undefined
          }
        />
      ) : (
        <>
          <p class="hint">
            It has no URL. A program of yours gets its webhooks by{' '}
            <code>GET /v1/subscriptions/…/pull</code>, with a key that has the scope pull.
          </p>
          <TextField
            label="Delete it when nobody pulls for"
            {...textField('expire_after')}
            hint="2m to 365d, for programs that come and go. Empty: never."
            placeholder="7d"
          />
        </>
      )}
      {isNew && draft.receiver === 'url' && (
        <SelectField
          label="For"
          name="format"
          error={error}
          value={draft.format}
          onChange={(format) => change({ format: format as typeof draft.format })}
          choices={{
            webhook: 'A program: it gets webhooks',
            notice: 'People: they get a notice when a receiver fails, is disabled or recovers',
          }}
        />
      )}
      <TextField
        label="Description"
        {...textField('description')}
        hint="A note for people. Posthorn does not use it."
      />
    </fieldset>
  );
}

/** Which webhooks it gets. */
export function SelectionFields({ draft, change, error, textField }: PartProps) {
  const { kind, text } = draft.event_types;
  return (
    <fieldset class="part">
      <legend>What it gets</legend>
      <SelectField
        label="Event types"
        name="event_types"
        error={kind === 'some' ? undefined : error}
        value={kind}
        onChange={(chosen) => change({ event_types: { text, kind: chosen as typeof kind } })}
        choices={{
          unset: 'All',
          some: 'Only these',
          none: 'None: only webhooks that are sent to it alone, such as those of /ingest',
        }}
      />
      {kind === 'some' && <EventTypes draft={draft} change={change} error={error} />}
      <TextField
        label="Channels"
        {...textField('channels')}
        hint="One a line. It gets webhooks with at least one of them. Empty: no limit."
        rows={2}
        code
      />
      <TextField
        label="Filter"
        {...textField('filter')}
        hint="A JSON path of Postgres on the data, such as $.total > 100. Empty: no filter."
        code
      />
      {draft.filter.trim() !== '' && <FilterTest draft={draft} />}
    </fieldset>
  );
}

function EventTypes({ draft, change, error }: ListProps) {
  const { text } = draft.event_types;
  const set = (text: string) => change({ event_types: { kind: 'some', text } });
  const known = useData(
    (signal) => listEventTypes({ archived: 'false', limit: 50 }, { signal }),
    [],
  );
  const typed = text.split(/[\n,]/).map((line) => line.trim());
  const offered = (known.data?.data ?? []).filter(({ name }) => !typed.includes(name));
  return (
    <>
      <TextField
        label="These event types"
        name="event_types"
        hint="One a line: exact types, or prefixes such as order.*"
        rows={3}
        code
        error={error}
        value={text}
        onChange={set}
      />
      {offered.length > 0 && (
        <div class="offered">
          <span class="hint">From the catalogue:</span>
          {offered.slice(0, 12).map(({ name }) => (
            <button
              key={name}
              type="button"
              class="button small"
              onClick={() => set([...typed.filter((line) => line !== ''), name].join('\n'))}
            >
              + {name}
            </button>
          ))}
        </div>
      )}
    </>
  );
}

/** Tries the filter on the webhooks that were accepted last. */
function FilterTest({ draft }: Pick<PartProps, 'draft'>) {
  const [result, setResult] = useState<TestFilterData>();
  return (
    <div class="filter-test">
      <Action
        run={async () => {
          const { filter, event_types, channels } = payloadOf(draft);
          setResult(await testFilter({ filter: filter ?? '', event_types, channels }));
        }}
      >
        Try the filter
      </Action>
      {result !== undefined && (
        <p role="status">
          {result.tested === 0
            ? 'There are no webhooks of these types yet to try it on.'
            : `It matches ${formatCount(result.matched)} of the last ${formatCount(result.tested)} webhooks.`}
        </p>
      )}
    </div>
  );
}

/** The user's own keys and values. */
export function MetadataFields({ draft, change, error }: ListProps) {
  return (
    <Pairs
      label="Metadata"
      hint="Your own keys and values, for other programs."
      nameLabel="Key"
      pairs={draft.metadata}
      onChange={(metadata) => change({ metadata })}
      error={error?.fields.metadata}
    />
  );
}
