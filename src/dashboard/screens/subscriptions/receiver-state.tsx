import { StateBadge } from '../../components/state-badge.tsx';

interface Receiver {
  readonly status: string;
  readonly circuit: string | undefined;
  readonly failing: boolean;
}

/** The state of a subscription and of its receiver in one badge: the one that matters most. */
export function ReceiverState({ status, circuit, failing }: Receiver) {
  if (status !== 'active') return <StateBadge state={status} />;
  if (circuit === 'open') return <span class="badge bad">circuit open</span>;
  if (circuit === 'half_open') return <span class="badge waiting">probing</span>;
  if (failing) return <span class="badge bad">failing</span>;
  return <StateBadge state="active" />;
}
