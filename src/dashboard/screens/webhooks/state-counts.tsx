import type { ListedWebhook } from '../../api/client.ts';
import { StateBadge } from '../../components/state-badge.tsx';
import { formatCount } from '../../lib/format.ts';
import { STATES } from './filters.tsx';

/** The API counts no further. */
const MAX_COUNTED = 1_000;

/** The states of the deliveries of a webhook: one as it is, more with their numbers. */
export function StateCounts({ counts }: { counts: NonNullable<ListedWebhook['deliveries']> }) {
  const states = STATES.flatMap((state) => {
    const count = counts[state] ?? 0;
    return count === 0 ? [] : [{ state, count }];
  });
  const total = states.reduce((sum, { count }) => sum + count, 0);
  if (total === 0) return <span class="muted">to no subscription</span>;
  return (
    <span class="badges">
      {states.map(({ state, count }) => (
        <StateBadge
          key={state}
          state={state}
          count={total > 1 ? `${formatCount(count)}${total >= MAX_COUNTED ? '+' : ''}` : undefined}
        />
      ))}
    </span>
  );
}
