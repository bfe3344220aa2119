import { useEffect, useMemo, useState } from 'preact/hooks';
import { useRoute } from 'preact-iso/router';
import { cancelWebhook, type GetWebhookData, getWebhook } from '../../api/client.ts';
import { Action } from '../../components/button.tsx';
import { CopyButton } from '../../components/copy-button.tsx';
import { Show } from '../../components/states.tsx';
import { Countdown, Time } from '../../components/time.tsx';
import { useData } from '../../data/use-data.ts';
import { apiCommand } from '../../lib/api-command.ts';
import { formatBytes, formatCount } from '../../lib/format.ts';
import { to } from '../../lib/urls.ts';
import { may } from '../../session.ts';
import { Body } from './body.tsx';
import { DeliveryPanel } from './delivery.tsx';
import { sqlOfWebhook } from './sql.ts';
import { isUnfinished, rankOf } from './states.ts';

/** More are shown as a list. */
const MAX_DELIVERIES = 20;
const EVERY_MS = 2_000;
/** When all deliveries have ended, only a retry or a replay changes them. */
const ENDED_EVERY_MS = 15_000;

/** What happened to one webhook: its body, and the attempts of each delivery. */
export function Webhook() {
  const { params } = useRoute();
  const id = params.webhook_id ?? '';
  const [ended, setEnded] = useState(false);
  const loaded = useData(
    (signal) => getWebhook(id, { max_deliveries: MAX_DELIVERIES }, { signal }),
    [id],
    { everyMs: ended ? ENDED_EVERY_MS : EVERY_MS },
  );
  const { data, reload } = loaded;
  useEffect(() => setEnded(data !== undefined && !data.deliveries.some(isUnfinished)), [data]);
  return (
    <>
      <div class="screen-head">
        <h1>
          {data === undefined ? 'Webhook' : (data.event_type ?? 'Webhook without an event type')}
        </h1>
        <div class="buttons">
          <CopyButton
            text={() => apiCommand('GET', `/v1/webhooks/${id}`)}
            what="the request as curl"
          >
            Copy as curl
          </CopyButton>
          <CopyButton text={() => sqlOfWebhook(id)} what="the query as SQL">
            Copy as SQL
          </CopyButton>
          {may('manage') && (data?.deliveries.some(isUnfinished) || data?.more_deliveries) && (
            <Action
              kind="danger"
              run={async () => {
                await cancelWebhook(id);
                reload();
              }}
              confirm="All deliveries of this webhook that are pending or held are cancelled. Attempts that are in flight are not stopped."
              done="The unfinished deliveries are cancelled."
            >
              Cancel deliveries
            </Action>
          )}
        </div>
      </div>
      <Show loaded={loaded}>
        {(webhook) => (
          <div class="webhook">
            <Facts webhook={webhook} />
            <Deliveries webhook={webhook} onChange={reload} />
            <Body webhook={webhook} />
          </div>
        )}
      </Show>
    </>
  );
}

function Facts({ webhook }: { webhook: GetWebhookData }) {
  const { webhook_id, accepted_at, deliver_at, content_type, bytes, headers } = webhook;
  return (
    <dl class="facts">
      <div>
        <dt>Id</dt>
        <dd class="with-button">
          <span class="code">{webhook_id}</span>
          <CopyButton text={webhook_id} what="the id" />
        </dd>
      </div>
      <div>
        <dt>Accepted</dt>
        <dd>
          <Time at={accepted_at} />
        </dd>
      </div>
      {deliver_at !== null && (
        <div>
          <dt>Scheduled for</dt>
          <dd>
            <Time at={deliver_at} /> <Countdown to={deliver_at} whenDue="" />
          </dd>
        </div>
      )}
      <div>
        <dt>Body</dt>
        <dd>{bytes === null ? 'deleted' : `${formatBytes(bytes)}, ${content_type}`}</dd>
      </div>
      {Object.entries(headers ?? {}).map(([name, value]) => (
        <div key={name}>
          <dt>Header {name}</dt>
          <dd class="code">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Deliveries({ webhook, onChange }: { webhook: GetWebhookData; onChange: () => void }) {
  const { deliveries, more_deliveries, webhook_id, unfilterable } = webhook;
  // They keep the order in which they were first shown: a delivery must not move away under the pointer.
  const ranks = useMemo(
    () => new Map(deliveries.map((delivery) => [delivery.id, rankOf(delivery)])),
    [webhook_id],
  );
  const ordered = deliveries.toSorted((a, b) => (ranks.get(a.id) ?? 2) - (ranks.get(b.id) ?? 2));
  return (
    <section aria-labelledby="deliveries-title">
      <h2 id="deliveries-title">
        Deliveries{' '}
        <span class="muted">
          {formatCount(deliveries.length)}
          {more_deliveries && ' or more'}
        </span>
      </h2>
      {deliveries.length === 0 && (
        <p class="muted">
          No subscription wanted this webhook when it was accepted: none has its event type and
          channels, or a filter did not match.{' '}
          {unfilterable &&
            'Subscriptions with filters did not get it, since jsonb cannot hold it. '}
          <a href={to('subscriptions')}>See the subscriptions</a>
        </p>
      )}
      {ordered.map((delivery) => (
        <DeliveryPanel
          key={delivery.id}
          delivery={delivery}
          webhook={webhook}
          onChange={onChange}
        />
      ))}
      {more_deliveries && (
        <p>
          These are {deliveries.length} of its deliveries, failed ones first.{' '}
          <a href={to('webhooks', { webhook_id })}>List all deliveries of this webhook</a>
        </p>
      )}
    </section>
  );
}
