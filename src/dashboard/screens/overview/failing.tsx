import { type ListSubscriptionsData, listSubscriptions } from '../../api/client.ts';
import { StateBadge } from '../../components/state-badge.tsx';
import { Show } from '../../components/states.tsx';
import { type Column, Table } from '../../components/table.tsx';
import { Time } from '../../components/time.tsx';
import { useData } from '../../data/use-data.ts';
import { receiverOf } from '../../lib/receiver.ts';
import { to } from '../../lib/urls.ts';

type Subscription = ListSubscriptionsData['data'][number];

const SHOWN = 6;
const EVERY_MS = 15_000;

const COLUMNS: readonly Column<Subscription>[] = [
  { head: 'Subscription', cell: ({ id, url }) => `${id} · ${receiverOf(url)}` },
  {
    head: 'State',
    fit: true,
    cell: ({ status, health }) => (
      <StateBadge
        state={
          status !== 'active'
            ? status
            : health?.circuit.state === 'closed'
              ? 'failing'
              : 'circuit open'
        }
      />
    ),
  },
  {
    head: 'Since',
    fit: true,
    wide: true,
    cell: ({ health }) => <Time at={health?.failing_since} />,
  },
];

/** The subscriptions whose receivers fail, and those that are disabled because they did. */
export function Failing() {
  const loaded = useData(
    async (signal) => {
      const [failing, disabled] = await Promise.all([
        listSubscriptions({ failing: 'true', include: 'health', limit: SHOWN }, { signal }),
        listSubscriptions({ status: 'disabled', include: 'health', limit: SHOWN }, { signal }),
      ]);
      const all = new Map([...failing.data, ...disabled.data].map((one) => [one.id, one]));
      return {
        rows: [...all.values()].slice(0, SHOWN),
        more: all.size > SHOWN || failing.next_cursor !== null || disabled.next_cursor !== null,
      };
    },
    [],
    { everyMs: EVERY_MS },
  );
  return (
    <Show loaded={loaded}>
      {({ rows, more }) =>
        rows.length === 0 ? (
          <p class="muted">None: all receivers take their webhooks.</p>
        ) : (
          <>
            <Table
              caption="Subscriptions that fail"
              columns={COLUMNS}
              rows={rows}
              keyOf={({ id }) => id}
              href={({ id }) => to(`subscriptions/${id}`)}
            />
            {more && (
              <p>
                <a href={to('subscriptions', { failing: 'true' })}>All that fail</a>
              </p>
            )}
          </>
        )
      }
    </Show>
  );
}
