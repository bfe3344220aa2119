import { useState } from 'preact/hooks';
import type { GetWebhookData } from '../../api/client.ts';
import { PhaseBar } from '../../components/phase-bar.tsx';
import { Scroll } from '../../components/scroll.tsx';
import { StateBadge } from '../../components/state-badge.tsx';
import { Time } from '../../components/time.tsx';
import { formatCount, formatDuration } from '../../lib/format.ts';
import { SentHeaders } from './sent-headers.tsx';

type Attempt = GetWebhookData['deliveries'][number]['attempts'][number];

/** More attempts than these are shown only when they are asked for. */
const FEW = 4;

/** The attempts of a delivery, the newest first. */
interface AttemptsProps {
  readonly deliveryId: string;
  readonly attempts: readonly Attempt[];
  /** How many there are, if only the last are here. */
  readonly made: number;
}

export function Attempts({ deliveryId, attempts, made }: AttemptsProps) {
  const [all, setAll] = useState(false);
  if (attempts.length === 0) return null;
  const newestFirst = attempts.toReversed();
  const shown = all ? newestFirst : newestFirst.slice(0, FEW);
  const slowest = Math.max(...attempts.map(({ duration_ms }) => duration_ms), 1);
  return (
    <>
      <ol class="timeline">
        {shown.map((attempt) => (
          <li key={attempt.timestamp} class={attempt.status === 'success' ? 'good' : 'bad'}>
            <AttemptLine deliveryId={deliveryId} attempt={attempt} slowest={slowest} />
          </li>
        ))}
      </ol>
      {attempts.length > FEW && (
        <button type="button" class="button small plain" onClick={() => setAll(!all)}>
          {all
            ? `Show the last ${FEW}`
            : `Show ${made > attempts.length ? 'the last' : 'all'} ${formatCount(attempts.length)} attempts`}
        </button>
      )}
    </>
  );
}

interface AttemptLineProps {
  readonly deliveryId: string;
  readonly attempt: Attempt;
  readonly slowest: number;
}

function AttemptLine({ deliveryId, attempt, slowest }: AttemptLineProps) {
  const { attempt_number, status, response_code, duration_ms, error, response_excerpt, timestamp } =
    attempt;
  return (
    <>
      <div class="attempt">
        <span class="muted">{attempt_number === null ? 'late' : `#${attempt_number}`}</span>
        <StateBadge state={status} />
        <span>{response_code ?? <span class="muted">no answer</span>}</span>
        <span>{formatDuration(duration_ms)}</span>
        <Time at={timestamp} />
      </div>
      <PhaseBar timing={attempt.timing_ms} durationMs={duration_ms} longestMs={slowest} />
      {error !== null && <p class="attempt-error">{error}</p>}
      {response_excerpt !== null && response_excerpt !== '' && (
        <Scroll label={`Answer to attempt ${attempt_number ?? ''}`}>{response_excerpt}</Scroll>
      )}
      {attempt_number !== null && (
        <SentHeaders deliveryId={deliveryId} attemptNumber={attempt_number} />
      )}
    </>
  );
}
