import { useState } from 'preact/hooks';
import { useRoute } from 'preact-iso/router';
import {
  createEventType,
  type EventType,
  getEventType,
  updateEventType,
} from '../../api/client.ts';
import { FormError } from '../../components/field.tsx';
import { Show } from '../../components/states.tsx';
import { TextField } from '../../components/text-field.tsx';
import { toast } from '../../components/toast.tsx';
import { useData } from '../../data/use-data.ts';
import { useSubmit } from '../../data/use-submit.ts';
import { useUrl } from '../../data/use-url.ts';
import { readJson } from '../../lib/read-json.ts';
import { to } from '../../lib/urls.ts';

/** The form of a new event type. */
export function NewEventType() {
  return (
    <>
      <p class="path">
        <a href={to('event-types')}>Event types</a> / new
      </p>
      <div class="screen-head">
        <h1>New event type</h1>
      </div>
      <Form />
    </>
  );
}

/** The form of an event type that there is. */
export function EditEventType() {
  const { params } = useRoute();
  const name = params.event_type ?? '';
  const loaded = useData((signal) => getEventType(name, {}, { signal }), [name]);
  return (
    <>
      <p class="path">
        <a href={to('event-types')}>Event types</a> / <a href={to(`event-types/${name}`)}>{name}</a>{' '}
        / edit
      </p>
      <div class="screen-head">
        <h1>Edit {name}</h1>
      </div>
      <Show loaded={loaded}>{(type) => <Form type={type} />}</Show>
    </>
  );
}

const write = (value: unknown) =>
  value === null || value === undefined ? '' : JSON.stringify(value, null, 2);

function Form({ type }: { type?: EventType }) {
  const [name, setName] = useState(type?.name ?? '');
  const [description, setDescription] = useState(type?.description ?? '');
  const [schema, setSchema] = useState(write(type?.schema));
  const [example, setExample] = useState(write(type?.example));
  const { go } = useUrl();
  const { onSubmit, busy, error } = useSubmit(
    async () => {
      const fields = {
        description: description.trim() === '' ? null : description.trim(),
        schema: schema.trim() === '' ? null : (readJson('schema', schema) as object),
        example: example.trim() === '' ? null : readJson('example', example),
      };
      return type === undefined
        ? await createEventType({ name: name.trim(), ...fields })
        : await updateEventType(type.name, fields);
    },
    (saved) => {
      toast(type === undefined ? 'Created.' : 'Saved.');
      go(to(`event-types/${saved.name}`));
    },
  );
  return (
    <form class="form" onSubmit={onSubmit} noValidate>
      <fieldset class="part">
        <legend>{type === undefined ? 'The event type' : type.name}</legend>
        {type === undefined && (
          <TextField
            label="Name"
            name="name"
            hint="Words with dots between them. It never changes."
            placeholder="order.created"
            code
            error={error}
            value={name}
            onChange={setName}
          />
        )}
        <TextField
          label="Description"
          name="description"
          hint="What has happened when it is sent."
          rows={2}
          error={error}
          value={description}
          onChange={setDescription}
        />
        <TextField
          label="Example (JSON)"
          name="example"
          hint="An example of the data."
          rows={6}
          code
          error={error}
          value={example}
          onChange={setExample}
        />
        <TextField
          label="JSON Schema"
          name="schema"
          hint="Of the data, draft 2020-12. Empty: any data fits."
          rows={10}
          code
          error={error}
          value={schema}
          onChange={setSchema}
        />
        <FormError error={error} fields={['name', 'description', 'example', 'schema']} />
        <div class="buttons">
          <button type="submit" class="button primary" disabled={busy} aria-busy={busy}>
            {type === undefined ? 'Create' : 'Save'}
          </button>
          <a
            class="button plain"
            href={to(type === undefined ? 'event-types' : `event-types/${type.name}`)}
          >
            Cancel
          </a>
        </div>
      </fieldset>
    </form>
  );
}
