/** The colour that goes with each state: the text always says it too. */
const TONES: Readonly<Record<string, 'good' | 'bad' | 'busy' | 'waiting'>> = {
  succeeded: 'good',
  success: 'good',
  active: 'good',
  closed: 'good',
  completed: 'good',
  alive: 'good',
  failed: 'bad',
  failing: 'bad',
  'circuit open': 'bad',
  timeout: 'bad',
  blocked: 'bad',
  disabled: 'bad',
  open: 'bad',
  revoked: 'bad',
  pending: 'busy',
  running: 'busy',
  held: 'waiting',
  paused: 'waiting',
};

/**
 * A state as text with a coloured dot: of a delivery, an attempt, a subscription, a circuit or a task.
 *
 * @param count how many things are in that state, as text.
 */
export function StateBadge({ state, count }: { state: string; count?: string | undefined }) {
  return (
    <span class={`badge ${TONES[state] ?? 'neutral'}`}>
      {count === undefined ? state : `${count} ${state}`}
    </span>
  );
}
