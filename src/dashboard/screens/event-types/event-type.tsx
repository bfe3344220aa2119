import { useRoute } from 'preact-iso/router';
import {
  deleteEventType,
  type EventType as EventTypeRow,
  getEventType,
  updateEventType,
} from '../../api/client.ts';
import { Action } from '../../components/button.tsx';
import { CopyButton } from '../../components/copy-button.tsx';
import { JsonText } from '../../components/json-text.tsx';
import { Show } from '../../components/states.tsx';
import { Time } from '../../components/time.tsx';
import { toast } from '../../components/toast.tsx';
import { TypedConfirm } from '../../components/typed-confirm.tsx';
import { useData } from '../../data/use-data.ts';
import { useUrl } from '../../data/use-url.ts';
import { to } from '../../lib/urls.ts';
import { may, mayChangeTypes } from '../../session.ts';
import { SendEvent } from './send-event.tsx';

/** One event type: what it means, its schema and its example. */
export function EventType() {
  const { params } = useRoute();
  const name = params.event_type ?? '';
  const loaded = useData((signal) => getEventType(name, {}, { signal }), [name]);
  return (
    <>
      <p class="path">
        <a href={to('event-types')}>Event types</a> / {name}
      </p>
      <Show loaded={loaded}>{(type) => <Details type={type} reload={loaded.reload} />}</Show>
    </>
  );
}

function Details({ type, reload }: { type: EventTypeRow; reload: () => void }) {
  const { name, description, schema, example, archived, updated_at } = type;
  const { query, set } = useUrl();
  const onClose = () => set({ do: undefined }, true);
  return (
    <>
      <div class="screen-head">
        <div class="title">
          <h1 class="url">
            <code>{name}</code>
          </h1>
          <p class="second">
            {archived && <span class="badge waiting">archived</span>}
            <span>
              changed <Time at={updated_at} />
            </span>
          </p>
        </div>
        <Actions type={type} reload={reload} />
      </div>
      <p class="lead">{description ?? <span class="muted">It has no description.</span>}</p>
      <Json title="Example" value={example} none="It has no example." />
      <Json title="JSON Schema" value={schema} none="It has no schema: any data fits." />
      {query.do === 'send' && may('send') && <SendEvent type={type} onClose={onClose} />}
      {query.do === 'delete' && mayChangeTypes() && <Delete name={name} onClose={onClose} />}
    </>
  );
}

function Actions({ type: { name, archived }, reload }: { type: EventTypeRow; reload: () => void }) {
  const { link } = useUrl();
  return (
    <div class="buttons">
      {may('send') && (
        <a class="button primary" href={link({ do: 'send' })}>
          Send a test event
        </a>
      )}
      <a class="button" href={to('webhooks', { event_type: name })}>
        Webhooks
      </a>
      {mayChangeTypes() && (
        <>
          <Action
            run={async () => {
              await updateEventType(name, { archived: !archived });
              reload();
            }}
            done={archived ? 'It is current again.' : 'Archived.'}
          >
            {archived ? 'Take out of the archive' : 'Archive'}
          </Action>
          <a class="button" href={to(`event-types/${name}/edit`)}>
            Edit
          </a>
          <a class="button danger" href={link({ do: 'delete' })}>
            Delete
          </a>
        </>
      )}
    </div>
  );
}

function Json({ title, value, none }: { title: string; value: unknown; none: string }) {
  const text = value === null || value === undefined ? undefined : JSON.stringify(value, null, 2);
  return (
    <section class="section">
      <div class="section-head">
        <h2>{title}</h2>
        {text !== undefined && <CopyButton text={text} what={`the ${title.toLowerCase()}`} />}
      </div>
      {text === undefined ? (
        <p class="muted">{none}</p>
      ) : (
        <div class="boxed tall">
          <JsonText text={text} label={title} />
        </div>
      )}
    </section>
  );
}

function Delete({ name, onClose }: { name: string; onClose: () => void }) {
  const { go } = useUrl();
  return (
    <TypedConfirm
      title="Delete the event type"
      word={name}
      action="Delete"
      run={async () => {
        await deleteEventType(name);
        toast('Deleted.');
        go(to('event-types'), true);
      }}
      onClose={onClose}
    >
      <p>
        It leaves the catalogue, with its schema and its example. Webhooks of this type that were
        sent stay, and subscriptions that list it stay as they are.
      </p>
    </TypedConfirm>
  );
}
