import { useState } from 'preact/hooks';
import { type CreateWatchPayload, createWatch } from '../../api/client.ts';
import { Check, Checks } from '../../components/check.tsx';
import { FormDialog } from '../../components/form-dialog.tsx';
import { SelectField, TextField } from '../../components/text-field.tsx';
import { toast } from '../../components/toast.tsx';
import { useSubmit } from '../../data/use-submit.ts';
import { useUrl } from '../../data/use-url.ts';
import { to } from '../../lib/urls.ts';

const OPS = { insert: 'inserts', update: 'updates', delete: 'deletes' };
type Op = keyof typeof OPS;
const FIELDS =
  'table schema ops when columns payload_columns ordering_key event_type tenant tenant_column per on_error'.split(
    ' ',
  );

/** The texts of the form, by the name of the field in the API. */
const EMPTY = {
  table: '',
  schema: '',
  when: '',
  columns: '',
  payload_columns: '',
  ordering_key: '',
  event_type: '',
  tenant: '',
  tenant_column: '',
  per: 'statement',
  on_error: 'raise',
};

/** Watches a table of the service's database. */
export function NewWatch({ onClose }: { onClose: () => void }) {
  const { go } = useUrl();
  const [texts, setTexts] = useState(EMPTY);
  const [ops, setOps] = useState<readonly Op[]>(['insert', 'update', 'delete']);
  const [withOld, setWithOld] = useState(true);
  const submit = useSubmit(
    () => createWatch(payloadOf(texts, ops, withOld)),
    ({ id }) => {
      toast('Watched. Its changes are webhooks from now on.');
      go(to(`watches/${id}`));
    },
  );
  const { error } = submit;
  const field = (name: keyof typeof EMPTY) => ({
    name,
    error,
    value: texts[name],
    onChange: (text: string) => setTexts((before) => ({ ...before, [name]: text })),
  });
  return (
    <FormDialog
      title="Watch a table"
      submit={submit}
      action="Watch it"
      keep="Cancel"
      fields={FIELDS}
      onClose={onClose}
    >
      <div class="row">
        <TextField {...field('table')} label="Table" placeholder="orders" code />
        <TextField {...field('schema')} label="Schema" placeholder="public" code />
      </div>
      <Checks
        label="What is sent"
        choices={OPS}
        chosen={ops}
        onChange={setOps}
        error={error?.fields.ops}
      />
      <TextField
        {...field('when')}
        label="Only rows with"
        hint="A condition on new and old. Empty: all rows."
        placeholder="new.total > 100"
        rows={2}
        code
      />
      <TextField
        {...field('columns')}
        label="Only updates of these columns"
        hint="With commas between them. Empty: every update."
        code
      />
      <TextField
        {...field('payload_columns')}
        label="Columns that are sent"
        hint="With commas between them. Empty: all, also those added later."
        code
      />
      <Check label="Updates have the old row too" checked={withOld} onChange={setWithOld} />
      <div class="row">
        <TextField
          {...field('event_type')}
          label="Event types begin with"
          hint="Empty: the table’s name."
          placeholder="orders"
          code
        />
        <TextField
          {...field('ordering_key')}
          label="Ordering key"
          hint="Columns, or pk. Empty: none."
          placeholder="pk"
          code
        />
      </div>
      <div class="row">
        <TextField {...field('tenant')} label="Tenant" hint="Empty: default." />
        <TextField
          {...field('tenant_column')}
          label="Or the column with the tenant"
          hint="Empty: one tenant for all rows."
          code
        />
      </div>
      <div class="row">
        <SelectField
          {...field('per')}
          label="One call of the trigger"
          choices={{ statement: 'per statement, which costs least', row: 'per row' }}
        />
        <SelectField
          {...field('on_error')}
          label="If a webhook cannot be sent"
          choices={{ raise: 'the statement fails', skip: 'it is counted' }}
        />
      </div>
    </FormDialog>
  );
}

/** Returns what was typed as the API takes it; what is empty is left out. */
function payloadOf(texts: typeof EMPTY, ops: readonly Op[], withOld: boolean): CreateWatchPayload {
  const { table, columns, payload_columns, per, on_error, ...others } = texts;
  const given = Object.entries(others)
    .map(([name, text]) => [name, text.trim()])
    .filter(([, text]) => text !== '');
  return {
    ...Object.fromEntries(given),
    ...listOf('columns', columns),
    ...listOf('payload_columns', payload_columns),
    table: table.trim(),
    ops: [...ops],
    with_old: withOld,
    per: per === 'row' ? 'row' : 'statement',
    on_error: on_error === 'skip' ? 'skip' : 'raise',
  };
}

function listOf(name: 'columns' | 'payload_columns', text: string) {
  const names = text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
  return names.length === 0 ? {} : { [name]: names };
}
