import { useState } from 'preact/hooks';
import { replayLatest } from '../../api/client.ts';
import { FormDialog } from '../../components/form-dialog.tsx';
import { TextField } from '../../components/text-field.tsx';
import { toast } from '../../components/toast.tsx';
import { useSubmit } from '../../data/use-submit.ts';
import { countOf } from '../../lib/format.ts';
import type { WindowProps } from './dialogs.tsx';

/** Sends the latest webhooks again, such as to a subscription that was just created. */
export function ReplayLatest({ subscription: { id }, reload, onClose }: WindowProps) {
  const [last, setLast] = useState('10');
  const submit = useSubmit(
    () => replayLatest(id, { last: Number(last) }),
    ({ due }) => {
      toast(
        due === 0
          ? 'There is nothing to send.'
          : `${countOf(due, 'delivery is', 'deliveries are')} due now.`,
      );
      reload();
      onClose();
    },
  );
  return (
    <FormDialog
      title="Send the latest webhooks again"
      submit={submit}
      action="Send them"
      fields={['last']}
      onClose={onClose}
    >
      <p>
        It gets the latest webhooks that it had, and those that it would get now. So a new
        subscription gets what was sent before.
      </p>
      <TextField
        label="How many, at most"
        name="last"
        hint="1 to 100. For a period, use a replay."
        type="number"
        error={submit.error}
        value={last}
        onChange={setLast}
      />
    </FormDialog>
  );
}
