import { useState } from 'preact/hooks';
import type { GetWebhookData } from '../../api/client.ts';
import { Scroll } from '../../components/scroll.tsx';
import { StateBadge } from '../../components/state-badge.tsx';
import { Time } from '../../components/time.tsx';
import { formatCount, formatDuration } from '../../lib/format.ts';

type Attempt = GetWebhookData['deliveries'][number]['attempts'][number];

/** More attempts than these are shown only when they are asked for. */
const FEW = 4;

/** The attempts of a delivery, the newest first. */
export function Attempts({ attempts, made }: { attempts: readonly Attempt[]; made: number }) {
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
            <AttemptLine attempt={attempt} slowest={slowest} />
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

function AttemptLine({ attempt, slowest }: { attempt: Attempt; slowest: number }) {
  const { attempt_number, status, response_code, duration_ms, error, response_excerpt, timestamp } =
    attempt;
  return (
    <>
      <div class="attempt">
        <span class="muted">{attempt_number === null ? 'late' : `#${attempt_number}`}</span>
        <StateBadge state={status} />
        <span>{response_code ?? <span class="muted">no answer</span>}</span>
        <span class="duration">
          {formatDuration(duration_ms)}
          <meter min={0} max={slowest} value={duration_ms} aria-label="Duration" />
        </span>
        <Time at={timestamp} />
      </div>
      {error !== null && <p class="attempt-error">{error}</p>}
      {response_excerpt !== null && response_excerpt !== '' && (
        <Scroll label={`Answer to attempt ${attempt_number ?? ''}`}>{response_excerpt}</Scroll>
      )}
    </>
  );
}
