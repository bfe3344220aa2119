import type { Delivery, ListedWebhook } from '../../api/client.ts';
import { StateBadge } from '../../components/state-badge.tsx';
import type { Column } from '../../components/table.tsx';
import { Time } from '../../components/time.tsx';
import { formatBytes } from '../../lib/format.ts';
import { timeOfId } from '../../lib/ids.ts';
import { receiverOf } from '../../lib/receiver.ts';
import { StateCounts } from './state-counts.tsx';

/** A webhook, or the delivery of one where the list is about a subscription or a state. */
export type Row = ListedWebhook | Delivery;

const isDelivery = (row: Row): row is Delivery => 'state' in row;

const TYPE: Column<Row> = {
  head: 'Event type',
  cell: ({ event_type }) => event_type ?? <span class="muted">no type</span>,
};
const ACCEPTED: Column<Row> = {
  head: 'Accepted',
  fit: true,
  cell: (row) => <Time at={timeOfId(row.webhook_id)} />,
};
const ID: Column<Row> = {
  head: 'Id',
  fit: true,
  wide: true,
  cell: ({ webhook_id }) => <span class="code muted">{webhook_id}</span>,
};

/** The columns of a list of webhooks. */
export const OF_WEBHOOKS: readonly Column<Row>[] = [
  TYPE,
  {
    head: 'Deliveries',
    cell: (row) => (isDelivery(row) ? null : <StateCounts counts={row.deliveries ?? {}} />),
  },
  ACCEPTED,
  {
    head: 'Size',
    align: 'right',
    fit: true,
    wide: true,
    cell: (row) =>
      isDelivery(row) || row.bytes === null ? (
        <span class="muted">deleted</span>
      ) : (
        formatBytes(row.bytes)
      ),
  },
  ID,
];

/** The columns of a list of deliveries. */
export const OF_DELIVERIES: readonly Column<Row>[] = [
  TYPE,
  {
    head: 'Delivery',
    fit: true,
    cell: (row) => (isDelivery(row) ? <StateBadge state={row.state} /> : null),
  },
  {
    head: 'Receiver',
    wide: true,
    cell: (row) =>
      isDelivery(row) ? `${row.subscription_id} · ${receiverOf(row.subscription_url)}` : null,
  },
  {
    head: 'Attempts',
    align: 'right',
    fit: true,
    wide: true,
    cell: (row) => (isDelivery(row) ? row.attempts_made : null),
  },
  ACCEPTED,
  ID,
];

/** What names a row. */
export function keyOf(row: Row): string {
  return isDelivery(row) ? row.id : row.webhook_id;
}
