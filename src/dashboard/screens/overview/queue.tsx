import type { QueueStats } from '../../api/client.ts';
import { StateBadge } from '../../components/state-badge.tsx';
import { Time } from '../../components/time.tsx';
import { formatCount, formatDuration } from '../../lib/format.ts';
import { to } from '../../lib/urls.ts';

/** What each reason for holding deliveries means. */
const REASONS = {
  circuit_open: 'the circuit of the subscription is open',
  paused: 'the subscription is paused',
  disabled: 'the subscription is disabled',
  receiver_busy: 'the receiver takes no more at the moment',
  rate_limit: 'a rate limit or a limit of open requests',
  pull: 'the receiver pulls',
  ordering: 'strict order, one after the other',
} as const satisfies Record<keyof QueueStats['held'], string>;

/** What waits, since when, and why. */
export function Queue({ data }: { data: QueueStats }) {
  const { due, due_more, oldest_due_at, held, held_more, workers } = data;
  const more = (count: number, isMore: boolean) =>
    `${formatCount(count)}${isMore ? ' or more' : ''}`;
  const reasons = Object.entries(REASONS) as [keyof typeof REASONS, string][];
  const heldTotal = reasons.reduce((sum, [reason]) => sum + held[reason], 0);
  return (
    <>
      {workers === 0 && (
        <div class="notice bad" role="alert">
          <p>
            <strong>No worker is alive, so nothing is delivered.</strong> Start one with{' '}
            <code>posthorn start</code>.
          </p>
        </div>
      )}
      <dl class="rows">
        <div>
          <dt>Due</dt>
          <dd>
            <strong>{more(due, due_more)}</strong>
            {oldest_due_at !== null && (
              <span class="muted">
                the oldest since <Time at={oldest_due_at} /> (
                {formatDuration(Math.max(0, Date.now() - Date.parse(oldest_due_at)))})
              </span>
            )}
          </dd>
        </div>
        <div>
          <dt>
            <a href={to('webhooks', { state: 'held' })}>Held</a>
          </dt>
          <dd>
            <strong>{more(heldTotal, held_more)}</strong>
            {heldTotal === 0 && <span class="muted">nothing is held outside the queue</span>}
          </dd>
        </div>
        {reasons
          .filter(([reason]) => held[reason] > 0)
          .map(([reason, meaning]) => (
            <div key={reason} class="inner">
              <dt>{formatCount(held[reason])}</dt>
              <dd>{meaning}</dd>
            </div>
          ))}
        <div>
          <dt>Workers</dt>
          <dd>
            <strong>{formatCount(workers)}</strong>
            {workers > 0 && <StateBadge state="alive" />}
          </dd>
        </div>
      </dl>
    </>
  );
}
