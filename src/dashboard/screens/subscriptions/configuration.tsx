import type { ComponentChildren } from 'preact';
import type { GetSubscriptionData } from '../../api/client.ts';
import { Time } from '../../components/time.tsx';
import { formatCount } from '../../lib/format.ts';

/** What a subscription is set to, in the words of the API. Unset fields say what applies instead. */
export function Configuration({ subscription: s }: { subscription: GetSubscriptionData }) {
  return (
    <section class="section">
      <h2>What it gets, and how</h2>
      <dl class="settings panel">
        {s.url === null && (
          <Row name="Receiver">
            pulls its webhooks: <code>GET /v1/subscriptions/{s.id}/pull</code>
          </Row>
        )}
        {s.url === null && (
          <Row name="Deleted">
            {s.expire_after === null ? unset('never') : `when nobody pulls for ${s.expire_after}`}
          </Row>
        )}
        {s.format === 'notice' && (
          <Row name="For">people: it gets notices of Posthorn, and nothing else</Row>
        )}
        <Row name="Event types">
          {s.event_types === null
            ? unset('all')
            : s.event_types.length === 0
              ? unset('none: only webhooks that are sent to it alone')
              : chips(s.event_types)}
        </Row>
        <Row name="Channels">
          {s.channels === null || s.format === 'notice' ? unset('no limit') : chips(s.channels)}
        </Row>
        <Row name="Filter">{s.filter === null ? unset('none') : <code>{s.filter}</code>}</Row>
        <Row name="Retry schedule">
          {s.retry_schedule === null ? (
            unset('as the service is set')
          ) : (
            <code>{s.retry_schedule}</code>
          )}
        </Row>
        {s.url !== null && <Row name="Timeout">{s.timeout ?? unset('as the service is set')}</Row>}
        <Row name="Rate limit">
          {s.rate_limit === null
            ? unset('none')
            : `${formatCount(s.rate_limit.limit)} ${s.url === null ? 'deliveries' : 'requests'} per ${s.rate_limit.per}`}
        </Row>
        <Row name={s.url === null ? 'Handed out at once' : 'Requests at once'}>
          {s.max_in_flight === null
            ? unset(s.url === null ? 'up to 1,000' : 'found by Posthorn')
            : formatCount(s.max_in_flight)}
        </Row>
        <Row name="Order">
          {s.ordering === 'strict'
            ? 'strict: one at a time, in the order of acceptance'
            : unset('none')}
        </Row>
        <Row name="Headers">{s.headers === null ? unset('none') : pairs(s.headers)}</Row>
        <Row name="Forwarded headers">
          {s.forward_headers === null
            ? unset('those of its source')
            : s.forward_headers.length === 0
              ? 'none'
              : chips(s.forward_headers)}
        </Row>
        <Row name="Content types">
          {s.ingest_content_types === null
            ? unset('JSON, and those of its source')
            : s.ingest_content_types.length === 0
              ? 'only JSON'
              : chips(['JSON', ...s.ingest_content_types])}
        </Row>
        <Row name="Metadata">{s.metadata === null ? unset('none') : pairs(s.metadata)}</Row>
        <Row name="Created">
          <Time at={s.created_at} />
        </Row>
        <Row name="Changed">
          <Time at={s.updated_at} />
        </Row>
      </dl>
    </section>
  );
}

/** A name and its value. */
export function Row({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export function unset(text: string) {
  return <span class="muted">{text}</span>;
}

function chips(values: readonly string[]) {
  return (
    <ul class="chips">
      {values.map((value) => (
        <li key={value}>
          <code>{value}</code>
        </li>
      ))}
    </ul>
  );
}

function pairs(record: Readonly<Record<string, string>>) {
  return (
    <ul>
      {Object.entries(record).map(([name, value]) => (
        <li key={name}>
          <code>
            {name}: {value}
          </code>
        </li>
      ))}
    </ul>
  );
}
