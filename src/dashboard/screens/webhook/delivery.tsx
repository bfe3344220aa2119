import { useState } from 'preact/hooks';
import {
  cancelDelivery,
  type GetWebhookData,
  getWebhook,
  retryDelivery,
} from '../../api/client.ts';
import { Action } from '../../components/button.tsx';
import { CopyButton } from '../../components/copy-button.tsx';
import { StateBadge } from '../../components/state-badge.tsx';
import { Countdown } from '../../components/time.tsx';
import { toast } from '../../components/toast.tsx';
import { curlOf } from '../../lib/curl.ts';
import { receiverOf } from '../../lib/receiver.ts';
import { to } from '../../lib/urls.ts';
import { may } from '../../session.ts';
import { Attempts } from './attempts.tsx';
import { sqlOfDelivery } from './sql.ts';
import { isUnfinished } from './states.ts';
import { Why } from './why.tsx';

type Delivery = GetWebhookData['deliveries'][number];

interface DeliveryProps {
  readonly delivery: Delivery;
  readonly webhook: GetWebhookData;
  /** Called when the delivery was changed. */
  readonly onChange: () => void;
}

/** One delivery: its state, what happens next, what can be done, and its attempts. */
export function DeliveryPanel({ delivery, webhook, onChange }: DeliveryProps) {
  const { id, state, subscription_id, subscription_url, webhook_id, body_expired } = delivery;
  return (
    <article class="panel delivery">
      <div class="panel-head">
        <h3>
          <StateBadge state={state} />{' '}
          <a class="receiver" href={to(`subscriptions/${subscription_id}`)}>
            {receiverOf(subscription_url)}
          </a>
          <Next delivery={delivery} />
        </h3>
        <div class="buttons">
          <CurlButton delivery={delivery} webhook={webhook} />
          <CopyButton
            text={() => sqlOfDelivery(webhook_id, subscription_id)}
            what="the query as SQL"
          >
            SQL
          </CopyButton>
          {may('manage') && !body_expired && (
            <Action
              run={async () => {
                await retryDelivery(id);
                onChange();
              }}
              done="The delivery is sent again now."
            >
              Retry
            </Action>
          )}
          {may('manage') && isUnfinished(delivery) && <Cancel id={id} onChange={onChange} />}
        </div>
      </div>
      <Why
        deliveryId={id}
        version={`${state} ${delivery.attempts_made} ${delivery.next_attempt_at}`}
        unfinished={isUnfinished(delivery)}
        onChange={onChange}
      />
      <Attempts deliveryId={id} attempts={delivery.attempts} made={delivery.attempts_made} />
    </article>
  );
}

function Cancel({ id, onChange }: { id: string; onChange: () => void }) {
  return (
    <Action
      kind="danger"
      run={async () => {
        const { request_may_be_open } = await cancelDelivery(id);
        onChange();
        toast(
          request_may_be_open
            ? 'The delivery is cancelled. If its request is open, it is not aborted, and its result is recorded.'
            : 'The delivery is cancelled, and nothing is sent.',
        );
      }}
      confirm="Only this delivery is cancelled; other deliveries of the webhook go on. It can be sent later by Retry."
    >
      Cancel
    </Action>
  );
}

/** When the next attempt is. What else there is to say, the sentence below says. */
function Next({ delivery: { state, next_attempt_at } }: { delivery: Delivery }) {
  if (state !== 'pending' || next_attempt_at === null) return null;
  return (
    <span>
      Next attempt <Countdown to={next_attempt_at} whenDue="now" />
    </span>
  );
}

/** Copies a command that sends the same body to the receiver. It is not signed: the secret is never shown. */
function CurlButton({ delivery, webhook }: Pick<DeliveryProps, 'delivery' | 'webhook'>) {
  const [body, setBody] = useState<string | null>();
  const url = delivery.subscription_url;
  // A receiver that pulls gets no request.
  if (webhook.body_expired || url === null) return null;
  // A browser lets a page copy only at once, so the body is read before: when the button is approached.
  const prepare = async () => {
    if (body !== undefined) return;
    const answer = await getWebhook(webhook.webhook_id, {
      include: 'body',
      max_deliveries: 1,
    }).catch(() => undefined);
    setBody(answer?.body ?? null);
  };
  return (
    <span onPointerEnter={prepare} onFocusIn={prepare}>
      <CopyButton
        what="the request to the receiver as curl, without its signature"
        text={() =>
          curlOf({
            url,
            headers: {
              'content-type': webhook.content_type,
              'webhook-id': webhook.webhook_id,
              ...webhook.headers,
            },
            body: body ?? '',
          })
        }
      >
        curl
      </CopyButton>
    </span>
  );
}
