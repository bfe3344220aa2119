import { useState } from 'preact/hooks';
import {
  cancelDeliveries,
  listSubscriptions,
  recoverSubscription,
  replaySubscription,
  type Task,
} from '../../api/client.ts';
import { ApiError } from '../../api/request.ts';
import { Checks } from '../../components/check.tsx';
import { FormError } from '../../components/field.tsx';
import { SelectField, TextField } from '../../components/text-field.tsx';
import { toast } from '../../components/toast.tsx';
import { TypedConfirm } from '../../components/typed-confirm.tsx';
import { useData } from '../../data/use-data.ts';
import { useSubmit } from '../../data/use-submit.ts';
import { useUrl } from '../../data/use-url.ts';
import { fromLocal, toLocal } from '../../lib/local-time.ts';
import { receiverOf } from '../../lib/receiver.ts';
import { to } from '../../lib/urls.ts';

const KINDS = {
  recover: 'Recover: send again what failed',
  replay: 'Replay: send again what ended as you choose',
  cancel: 'Cancel: what waits is not sent',
};
type Kind = keyof typeof KINDS;
const ENDED = { failed: 'failed', cancelled: 'cancelled', succeeded: 'succeeded' };
const OWED = { pending: 'pending', held: 'held' };
const HOUR_MS = 3_600_000;
const FIELDS = ['subscription_id', 'since', 'until', 'states', 'event_types', 'rate'];

/** The form that starts a bulk operation. Other screens fill it in by the URL. */
export function NewOperation() {
  const { query, set, go } = useUrl();
  const kind: Kind =
    query.kind !== undefined && query.kind in KINDS ? (query.kind as Kind) : 'recover';
  const [subscription, setSubscription] = useState(query.subscription_id ?? '');
  const [since, setSince] = useState(toLocal(query.since ?? new Date(Date.now() - HOUR_MS)));
  const [until, setUntil] = useState(query.until === undefined ? '' : toLocal(query.until));
  const [ended, setEnded] = useState<readonly (keyof typeof ENDED)[]>(['failed', 'cancelled']);
  const [owed, setOwed] = useState<readonly (keyof typeof OWED)[]>(['pending', 'held']);
  const [types, setTypes] = useState(query.event_type ?? '');
  const [rate, setRate] = useState('100');
  const [asking, setAsking] = useState(false);
  const known = useData((signal) => listSubscriptions({ limit: 100 }, { signal }), []);

  async function start(): Promise<Task> {
    const when = { since: fromLocal('since', since) };
    const end = until === '' ? {} : { until: fromLocal('until', until) };
    const eventTypes = split(types);
    const of = eventTypes.length === 0 ? {} : { event_types: eventTypes };
    if (kind === 'cancel')
      return cancelDeliveries(
        {},
        {
          ...(subscription.trim() === '' ? {} : { subscription_id: Number(subscription) }),
          ...(since === '' ? {} : when),
          ...end,
          ...of,
          states: [...owed],
        },
      );
    const id = readId(subscription);
    const most = { rate: Number(rate) };
    return kind === 'recover'
      ? recoverSubscription(id, { ...when, ...end, ...most })
      : replaySubscription(id, { ...when, ...end, ...of, ...most, states: [...ended] });
  }

  const opened = (task: Task) => {
    toast('Started.');
    go(to(`tasks/${task.id}`));
  };
  const submit = useSubmit(start, opened);
  const { error, busy } = submit;
  return (
    <>
      <p class="path">
        <a href={to('tasks')}>Bulk operations</a> / new
      </p>
      <div class="screen-head">
        <h1>New bulk operation</h1>
      </div>
      <form
        class="form"
        noValidate
        onSubmit={(event) => {
          // Without a subscription it is about all of them.
          if (kind !== 'cancel' || subscription.trim() !== '') return submit.onSubmit(event);
          event.preventDefault();
          setAsking(true);
        }}
      >
        <fieldset class="part">
          <legend>What it does</legend>
          <SelectField
            label="Operation"
            name="kind"
            error={undefined}
            value={kind}
            onChange={(chosen) => set({ kind: chosen }, true)}
            choices={KINDS}
          />
          <TextField
            label="Subscription"
            name="subscription_id"
            hint={kind === 'cancel' ? 'Its id. Empty: all subscriptions.' : 'Its id.'}
            options={Object.fromEntries(
              (known.data?.data ?? []).map(({ id, url, description }) => [
                `${id}`,
                description ?? receiverOf(url),
              ]),
            )}
            error={error}
            value={subscription}
            onChange={setSubscription}
          />
          <div class="row">
            <TextField
              label="Accepted from"
              name="since"
              hint="Your local time."
              type="datetime-local"
              error={error}
              value={since}
              onChange={setSince}
            />
            <TextField
              label="To"
              name="until"
              hint="Empty: now."
              type="datetime-local"
              error={error}
              value={until}
              onChange={setUntil}
            />
          </div>
          {kind === 'replay' && (
            <Checks
              label="Deliveries that"
              choices={ENDED}
              chosen={ended}
              onChange={setEnded}
              error={error?.fields.states}
            />
          )}
          {kind === 'cancel' && (
            <Checks
              label="Deliveries that are"
              choices={OWED}
              chosen={owed}
              onChange={setOwed}
              error={error?.fields.states}
            />
          )}
          {kind !== 'recover' && (
            <TextField
              label="Event types"
              name="event_types"
              hint="One a line: exact types, or prefixes such as order.* Empty: all."
              rows={2}
              code
              error={error}
              value={types}
              onChange={setTypes}
            />
          )}
          {kind !== 'cancel' && (
            <TextField
              label="Deliveries a second, at most"
              name="rate"
              hint="So that the receiver is not overloaded."
              type="number"
              error={error}
              value={rate}
              onChange={setRate}
            />
          )}
          <FormError error={error} fields={FIELDS} />
          <div class="buttons">
            <button
              type="submit"
              class={`button ${kind === 'cancel' ? 'danger' : 'primary'}`}
              disabled={busy}
              aria-busy={busy}
            >
              {kind === 'cancel' ? 'Cancel these deliveries' : 'Start'}
            </button>
            <a class="button plain" href={to('tasks')}>
              Back
            </a>
          </div>
        </fieldset>
      </form>
      {asking && (
        <TypedConfirm
          title="Cancel deliveries of all subscriptions"
          word="all"
          action="Cancel them"
          run={async () => opened(await start())}
          onClose={() => setAsking(false)}
        >
          <p>
            What waits for any subscription of this tenant, and fits the form, is not sent.
            Cancelled deliveries can be replayed.
          </p>
        </TypedConfirm>
      )}
    </>
  );
}

/** @throws ApiError unless it is the id of a subscription, which is part of the request's path. */
function readId(text: string): number {
  if (/^\d+$/.test(text.trim())) return Number(text);
  const message = 'must be the id of a subscription, such as 7';
  throw new ApiError(400, {
    title: 'The form is not complete',
    detail: message,
    errors: [{ field: 'subscription_id', message }],
  });
}

function split(text: string): string[] {
  return text
    .split(/[\n,]/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
