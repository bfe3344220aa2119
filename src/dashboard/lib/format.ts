const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const CLOCK = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});
const DATE = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });
const LONG_DATE = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  year: 'numeric',
});

/** Writes a time in the user's zone, as short as it can be told: `13:05:22`, `27 Nov, 13:05:22`, `27 Nov 2025, 13:05:22`. */
export function formatTime(at: Date, now: Date): string {
  const clock = CLOCK.format(at);
  if (at.toDateString() === now.toDateString()) return clock;
  const date = at.getFullYear() === now.getFullYear() ? DATE : LONG_DATE;
  return `${date.format(at)}, ${clock}`;
}

/** Writes a time in UTC: `2026-11-28 13:05:22.123 UTC`. */
export function utc(at: string): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime())
    ? at
    : date.toISOString().replace('T', ' ').replace('Z', ' UTC');
}

/** Writes a length of time with its two largest units: `340 ms`, `12 s`, `4 min 10 s`, `3 h 20 min`, `2 d 4 h`. */
export function formatDuration(ms: number): string {
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < 10 * SECOND) return `${(ms / SECOND).toFixed(1)} s`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return two(ms, MINUTE, 'min', SECOND, 's');
  if (ms < DAY) return two(ms, HOUR, 'h', MINUTE, 'min');
  return two(ms, DAY, 'd', HOUR, 'h');
}

function two(ms: number, large: number, largeUnit: string, small: number, smallUnit: string) {
  const rest = Math.floor((ms % large) / small);
  return `${Math.floor(ms / large)} ${largeUnit}${rest === 0 ? '' : ` ${rest} ${smallUnit}`}`;
}

const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** Writes a count: `12,345`. */
export function formatCount(count: number): string {
  return WHOLE.format(count);
}

/** Writes how many of something there are: `1 delivery`, `12,345 deliveries`. */
export function countOf(count: number, one: string, many: string): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** Writes a share from 0 to 1 as a percentage. It is 100 % only if it is all, and 0 % only if it is nothing. */
export function formatShare(share: number): string {
  const percent = share * 100;
  if (percent === 0 || percent === 100) return `${percent} %`;
  if (percent > 99.99) return '> 99.99 %';
  if (percent < 0.01) return '< 0.01 %';
  return `${Number(percent.toFixed(percent > 99 || percent < 1 ? 2 : 1))} %`;
}

/** Writes a size: `512 B`, `1.5 KiB`, `2 MiB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const [size, unit] = bytes < 1024 ** 2 ? [bytes / 1024, 'KiB'] : [bytes / 1024 ** 2, 'MiB'];
  return `${Number(size.toFixed(1))} ${unit}`;
}
