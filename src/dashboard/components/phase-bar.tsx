import { formatDuration } from '../lib/format.ts';

const PHASES = [
  ['dns', 'Name'],
  ['connect', 'Connect'],
  ['tls', 'TLS'],
  ['first_byte', 'First byte'],
  ['body', 'Body'],
] as const;

type Phase = (typeof PHASES)[number][0];

export type Timing = Readonly<Record<Phase, number | null>> & {
  readonly connection: 'new' | 'reused' | null;
};

const WIDTH = 200;
const HEIGHT = 8;
const GAP = 1;
/** A phase of a millisecond among seconds must still be seen. */
const LEAST = 2;

interface PhaseBarProps {
  readonly timing: Timing;
  readonly durationMs: number;
  /** The duration that fills the whole width, so that several bars can be compared. */
  readonly longestMs: number;
}

/** How long each phase of a request took, as a bar. What it shows stands under it as words. */
export function PhaseBar({ timing, durationMs, longestMs }: PhaseBarProps) {
  const phases = PHASES.flatMap(([phase, words]) => {
    const ms = timing[phase];
    return ms === null ? [] : [{ phase, words, ms }];
  });
  if (phases.length === 0) return null;
  const whole = Math.max(
    phases.length * (LEAST + GAP),
    (durationMs / Math.max(longestMs, 1)) * WIDTH,
  );
  const shared = whole - phases.length * (LEAST + GAP);
  const sum = Math.max(
    1,
    phases.reduce((all, { ms }) => all + ms, 0),
  );
  let x = 0;
  return (
    <div class="phase-times">
      <svg
        class="phase-bar"
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        aria-hidden="true"
      >
        <path class="phase-ground" d={`M0 0H${WIDTH}V${HEIGHT}H0z`} />
        {phases.map(({ phase, words, ms }) => {
          const width = LEAST + (ms / sum) * shared;
          const at = x;
          x += width + GAP;
          return (
            <rect key={phase} class={`phase-${phase}`} x={at} y={0} width={width} height={HEIGHT}>
              <title>{`${words}: ${formatDuration(ms)}`}</title>
            </rect>
          );
        })}
      </svg>
      <ul class="phase-words">
        <li>{timing.connection} connection</li>
        {phases.map(({ phase, words, ms }) => (
          <li key={phase}>
            <span class={`phase-key phase-${phase}`} aria-hidden="true" />
            {words} {formatDuration(ms)}
          </li>
        ))}
      </ul>
    </div>
  );
}
