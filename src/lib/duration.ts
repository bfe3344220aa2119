const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * Reads a duration as people write it (`250ms`, `15s`, `5m`, `2h`, `30d`) and returns milliseconds.
 *
 * @example parseDuration('1.5h') // 5_400_000
 * @throws Error whose message says what a duration looks like.
 */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim());
  if (!match) {
    throw new Error(
      `"${text}" is not a duration; write a number and a unit, such as 15s, 5m or 2h`,
    );
  }
  return Math.round(Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS]);
}

/**
 * Writes milliseconds in the largest unit that keeps them whole: the inverse of `parseDuration`.
 *
 * @example formatDuration(300_000) // '5m'
 */
export function formatDuration(durationMs: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (durationMs > 0 && durationMs % UNIT_MS[unit] === 0)
      return `${durationMs / UNIT_MS[unit]}${unit}`;
  }
  return `${durationMs}ms`;
}
