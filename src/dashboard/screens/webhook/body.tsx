import { useState } from 'preact/hooks';
import { type GetWebhookData, getWebhook } from '../../api/client.ts';
import { CopyButton } from '../../components/copy-button.tsx';
import { JsonText } from '../../components/json-text.tsx';
import { Show } from '../../components/states.tsx';
import { useData } from '../../data/use-data.ts';
import { useUrl } from '../../data/use-url.ts';

/** Replaces bytes that are not text. */
const REPLACEMENT = '\uFFFD';

/** The body of a webhook, laid out or as it was sent. It is read apart from the deliveries, since it never changes. */
export function Body({ webhook }: { webhook: GetWebhookData }) {
  const { query, set } = useUrl();
  const { webhook_id, body_expired } = webhook;
  const loaded = useData(
    async (signal) => {
      if (body_expired) return { body: null };
      const { body } = await getWebhook(
        webhook_id,
        { include: 'body', max_deliveries: 1 },
        { signal },
      );
      return { body: body ?? null };
    },
    [webhook_id, body_expired],
  );
  const raw = query.body === 'raw';
  const body = loaded.data?.body ?? null;
  return (
    <section class="panel" aria-labelledby="body-title">
      <div class="panel-head">
        <h2 id="body-title">Body</h2>
        {body !== null && (
          <div class="buttons">
            <button
              type="button"
              class="button small plain"
              aria-pressed={raw}
              onClick={() => set({ body: raw ? undefined : 'raw' }, true)}
            >
              Raw
            </button>
            <CopyButton text={body} what="the body" />
            <Download body={body} name={webhook_id} />
          </div>
        )}
      </div>
      <Show loaded={loaded}>
        {() =>
          body === null ? (
            <p class="muted">The body is deleted, because its retention is over.</p>
          ) : (
            <>
              {body.includes(REPLACEMENT) && (
                <p class="hint">
                  Bytes that are not UTF-8 are shown as {REPLACEMENT}. Receivers get the bytes as
                  they were sent.
                </p>
              )}
              <div class="body">
                <JsonText text={body} label="Body" raw={raw} />
              </div>
            </>
          )
        }
      </Show>
    </section>
  );
}

function Download({ body, name }: { body: string; name: string }) {
  const [url, setUrl] = useState<string>();
  return (
    <a
      class="button small plain"
      href={url ?? '#body-title'}
      download={`${name}.txt`}
      onClick={(event) => {
        // Made when it is needed: a page must not keep a copy of each body.
        const made = URL.createObjectURL(new Blob([body], { type: 'text/plain' }));
        event.currentTarget.href = made;
        setUrl(made);
        setTimeout(() => URL.revokeObjectURL(made), 60_000);
      }}
    >
      Download
    </a>
  );
}
