import { useEffect } from 'preact/hooks';
import { useRoute } from 'preact-iso/router';
import { CopyButton } from '../components/copy-button.tsx';
import { JsonText } from '../components/json-text.tsx';
import { SchemaTable } from '../components/schema-table.tsx';
import type { Catalogue, PublicEventType } from './document.ts';
import { Meanings } from './meanings.tsx';

/** One event type: what it means, the fields of its body, an example, and the headers. */
export function EventType({ catalogue }: { catalogue: Catalogue }) {
  const { params } = useRoute();
  const type = catalogue.types.find(({ name }) => name === params.event_type);
  useEffect(() => {
    document.title = `${type?.name ?? 'Unknown event type'} · Webhooks`;
    // The browser looked for the place before the table was there.
    const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    place?.scrollIntoView({ block: 'center' });
    place?.querySelector('a')?.focus();
  }, [type]);
  return (
    <>
      <p class="path">
        <a href="/catalogue">Event types</a> / {params.event_type}
      </p>
      {type === undefined ? (
        <div class="empty">
          <h1>There is no such event type</h1>
          <p>
            It may have been renamed, or is no longer sent. See{' '}
            <a href="/catalogue">all event types</a>.
          </p>
        </div>
      ) : (
        <Details type={type} catalogue={catalogue} />
      )}
    </>
  );
}

function Details({ type, catalogue }: { type: PublicEventType; catalogue: Catalogue }) {
  const { name, description, body, schema, example } = type;
  return (
    <>
      <h1 class="url">
        <code>{name}</code>
      </h1>
      {description !== null && <p class="lead">{description}</p>}
      <div class="beside">
        <section class="section">
          <div class="section-head">
            <h2>Body</h2>
          </div>
          <SchemaTable
            caption={`Fields of the body of ${name}`}
            schema={body}
            root={catalogue.document}
          />
          {schema !== undefined && (
            <details>
              <summary>JSON Schema of data</summary>
              <Json value={schema} label="JSON Schema of data" />
            </details>
          )}
        </section>
        {example !== undefined && (
          <section class="section">
            <div class="section-head">
              <h2>Example</h2>
              <CopyButton text={JSON.stringify(example, null, 2)} what="the example" />
            </div>
            <Json value={example} label="Example" />
          </section>
        )}
      </div>
      <Meanings title="Headers" meanings={catalogue.headers} />
    </>
  );
}

function Json({ value, label }: { value: unknown; label: string }) {
  return (
    <div class="boxed tall">
      <JsonText text={JSON.stringify(value, null, 2)} label={label} />
    </div>
  );
}
