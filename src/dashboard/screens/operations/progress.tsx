import type { Task } from '../../api/client.ts';
import { StateBadge } from '../../components/state-badge.tsx';
import { formatCount } from '../../lib/format.ts';

/** True: it still changes deliveries, or will. */
export function isUnfinished({ state }: Task): boolean {
  return state === 'waiting' || state === 'running';
}

/** How far a bulk operation has come, as a bar and in words. */
export function Progress({ task }: { task: Task }) {
  const { state, progress, changed } = task;
  const share = state === 'succeeded' ? 1 : progress;
  return (
    <div class="progress">
      <div class="progress-head">
        <StateBadge state={state} />
        <span class="muted">
          {share !== null && isUnfinished(task) ? `${Math.min(99, Math.floor(share * 100))} %` : ''}
        </span>
      </div>
      {isUnfinished(task) && <progress max={1} value={share ?? undefined} aria-label="Progress" />}
      <span class="second">{formatCount(changed)} changed</span>
    </div>
  );
}

const KINDS: Readonly<Record<string, string>> = {
  replay: 'Replay',
  recover: 'Recover',
  cancel: 'Cancel',
  delete: 'Clear a deleted subscription',
};

/** What a bulk operation does, and to which deliveries, in a few words. */
export function describe({ kind, subscription_id, states, event_types }: Task): [string, string] {
  const of = subscription_id === null ? 'all subscriptions' : `subscription ${subscription_id}`;
  const types = event_types === null ? [] : [event_types.join(', ')];
  return [KINDS[kind] ?? kind, [of, states.join(', '), ...types].join(' · ')];
}
