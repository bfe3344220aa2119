import { useState } from 'preact/hooks';
import { importEventTypes } from '../../api/client.ts';
import { FormDialog } from '../../components/form-dialog.tsx';
import { TextField } from '../../components/text-field.tsx';
import { toast } from '../../components/toast.tsx';
import { useSubmit } from '../../data/use-submit.ts';
import { countOf } from '../../lib/format.ts';
import { readJson } from '../../lib/read-json.ts';

/** Takes event types from the webhooks of an OpenAPI document. */
export function Import({ reload, onClose }: { reload: () => void; onClose: () => void }) {
  const [text, setText] = useState('');
  const submit = useSubmit(
    async () =>
      importEventTypes(readJson('openapi', text) as Parameters<typeof importEventTypes>[0]),
    ({ created, updated }) => {
      toast(
        `${countOf(created.length, 'event type', 'event types')} created, ${updated.length} changed.`,
      );
      reload();
      onClose();
    },
  );
  return (
    <FormDialog
      title="Import event types"
      submit={submit}
      action="Import"
      keep="Cancel"
      fields={['openapi']}
      onClose={onClose}
    >
      <TextField
        label="OpenAPI document (JSON)"
        name="openapi"
        hint="Its webhooks become event types. Those that are in the catalogue already are changed."
        rows={10}
        code
        error={submit.error}
        value={text}
        onChange={setText}
      />
    </FormDialog>
  );
}
