import { useState } from 'preact/hooks';
import {
  deleteSubscription,
  enableSubscription,
  type GetSubscriptionData,
  pauseSubscription,
} from '../../api/client.ts';
import { FormDialog } from '../../components/form-dialog.tsx';
import { TextField } from '../../components/text-field.tsx';
import { toast } from '../../components/toast.tsx';
import { TypedConfirm } from '../../components/typed-confirm.tsx';
import { useSubmit } from '../../data/use-submit.ts';
import { useUrl } from '../../data/use-url.ts';
import { countOf } from '../../lib/format.ts';
import { receiverOf } from '../../lib/receiver.ts';
import { to } from '../../lib/urls.ts';
import { ReplayLatest } from './replay-latest.tsx';
import { Rotate } from './rotate.tsx';
import { TestSend } from './test-send.tsx';

interface DialogsProps {
  readonly subscription: GetSubscriptionData;
  readonly reload: () => void;
}

export interface WindowProps extends DialogsProps {
  readonly onClose: () => void;
}

/** The window that `do` of the URL names. */
export function Dialogs(props: DialogsProps) {
  const { query, set } = useUrl();
  const given = { ...props, onClose: () => set({ do: undefined }, true) };
  switch (query.do) {
    case 'pause':
      return <Pause {...given} />;
    case 'enable':
      return <Enable {...given} />;
    case 'rotate':
      return <Rotate {...given} />;
    case 'test':
      return <TestSend {...given} />;
    case 'replay-latest':
      return <ReplayLatest {...given} />;
    case 'delete':
      return <Delete {...given} />;
    default:
      return null;
  }
}

function Pause({ subscription: { id }, reload, onClose }: WindowProps) {
  const [reason, setReason] = useState('');
  const submit = useSubmit(
    () => pauseSubscription(id, {}, { reason: reason.trim() === '' ? null : reason.trim() }),
    () => {
      toast('Paused.');
      reload();
      onClose();
    },
  );
  return (
    <FormDialog
      title="Pause the subscription"
      submit={submit}
      action="Pause"
      fields={['reason']}
      onClose={onClose}
    >
      <p>Its deliveries are held until you resume it. Nothing is lost.</p>
      <TextField
        label="Reason"
        name="reason"
        hint="Optional: a note for people, such as “maintenance until noon”."
        error={submit.error}
        value={reason}
        onChange={setReason}
      />
    </FormDialog>
  );
}

function Enable({ subscription: { id, status }, reload, onClose }: WindowProps) {
  const [backlog, setBacklog] = useState<'resume' | 'skip'>(
    status === 'paused' ? 'skip' : 'resume',
  );
  const submit = useSubmit(
    () => enableSubscription(id, {}, { backlog }),
    ({ skipped }) => {
      toast(
        backlog === 'skip'
          ? `Enabled, and ${countOf(skipped, 'delivery', 'deliveries')} cancelled.`
          : 'Enabled.',
      );
      reload();
      onClose();
    },
  );
  return (
    <FormDialog
      title="Enable the subscription"
      submit={submit}
      action={backlog === 'skip' ? 'Enable and cancel them' : 'Enable'}
      danger={backlog === 'skip'}
      fields={[]}
      onClose={onClose}
    >
      <p>It becomes active, its record of failures is cleared, and its circuit is closed.</p>
      <fieldset class="choices">
        <legend>What becomes of the deliveries that wait?</legend>
        <label class="check">
          <input
            type="radio"
            name="backlog"
            checked={backlog === 'resume'}
            onChange={() => setBacklog('resume')}
          />
          Send them, the oldest first
        </label>
        <label class="check">
          <input
            type="radio"
            name="backlog"
            checked={backlog === 'skip'}
            onChange={() => setBacklog('skip')}
          />
          Cancel them; they can be replayed later
        </label>
      </fieldset>
    </FormDialog>
  );
}

function Delete({ subscription: { id, url }, onClose }: WindowProps) {
  const { go } = useUrl();
  return (
    <TypedConfirm
      title="Delete the subscription"
      word={`${id}`}
      action="Delete"
      run={async () => {
        const { task } = await deleteSubscription(id);
        toast(
          task === null
            ? 'Deleted. What waited for it is cancelled.'
            : 'Deleted. A bulk operation cancels what waited for it.',
        );
        go(to('subscriptions'), true);
      }}
      onClose={onClose}
    >
      <p class="url">{receiverOf(url)}</p>
      <p>
        It gets nothing more, its secret is deleted, and what waits for it is cancelled. Its history
        stays. This cannot be taken back.
      </p>
    </TypedConfirm>
  );
}
