/** The colour that goes with each state: the text always says it too. */
const TONES: Readonly<Record<string, 'good' | 'bad' | 'busy' | 'waiting'>> = {
  succeeded: 'good',
  success: 'good',
  active: 'good',
  closed: 'good',
  completed: 'good',
  failed: 'bad',
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

/** A state as text with a coloured dot: of a delivery, an attempt, a subscription, a circuit or a task. */
export function StateBadge({ state }: { state: string }) {
  return <span class={`badge ${TONES[state] ?? 'neutral'}`}>{state}</span>;
}
