import { useState } from 'preact/hooks';
import { type AcceptedWebhook, type EventType, sendWebhook } from '../../api/client.ts';
import { FormDialog } from '../../components/form-dialog.tsx';
import { TextField } from '../../components/text-field.tsx';
import { useSubmit } from '../../data/use-submit.ts';
import { countOf } from '../../lib/format.ts';
import { readJson } from '../../lib/read-json.ts';
import { to } from '../../lib/urls.ts';

interface SendEventProps {
  readonly type: EventType;
  readonly onClose: () => void;
}

/** Sends a webhook of this type, as an application would. */
export function SendEvent({ type: { name, example }, onClose }: SendEventProps) {
  const [data, setData] = useState(JSON.stringify(example ?? {}, null, 2));
  const [channels, setChannels] = useState('');
  const [sent, setSent] = useState<AcceptedWebhook>();
  const submit = useSubmit(async () => {
    const list = channels
      .split(',')
      .map((channel) => channel.trim())
      .filter((channel) => channel !== '');
    return await sendWebhook({
      event_type: name,
      data: readJson('data', data),
      ...(list.length === 0 ? {} : { channels: list }),
    });
  }, setSent);
  return (
    <FormDialog
      title={`Send ${name}`}
      submit={submit}
      action={sent === undefined ? 'Send' : 'Send another'}
      keep="Close"
      fields={['data', 'channels']}
      onClose={onClose}
    >
      <p>It is sent to every subscription that gets this type, like any other webhook.</p>
      <TextField
        label="Data (JSON)"
        name="data"
        rows={8}
        code
        error={submit.error}
        value={data}
        onChange={setData}
      />
      <TextField
        label="Channels"
        name="channels"
        hint="Separated by commas. Empty: none."
        error={submit.error}
        value={channels}
        onChange={setChannels}
      />
      {sent !== undefined && (
        <p class="notice" role="status">
          <span>
            Accepted: it goes to {countOf(sent.deliveries, 'subscription', 'subscriptions')}.{' '}
            <a href={to(`webhooks/${sent.webhook_id}`)}>Watch its deliveries</a>
          </span>
        </p>
      )}
    </FormDialog>
  );
}
