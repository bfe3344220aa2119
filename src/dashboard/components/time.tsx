import { useEffect, useState } from 'preact/hooks';
import { formatDuration, formatTime, utc } from '../lib/format.ts';

/** A time in the zone of the user, with the same in UTC as its title. */
export function Time({ at }: { at: string | null | undefined }) {
  if (at === null || at === undefined) return <span class="muted">–</span>;
  return (
    <time dateTime={at} title={utc(at)}>
      {formatTime(new Date(at), new Date())}
    </time>
  );
}

/** How long it is until a time, counted down each second; afterwards `whenDue`. */
export function Countdown({ to, whenDue }: { to: string; whenDue: string }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  const left = Date.parse(to) - now;
  return (
    <time dateTime={to} title={utc(to)}>
      {left <= 0 ? whenDue : `in ${formatDuration(left)}`}
    </time>
  );
}
