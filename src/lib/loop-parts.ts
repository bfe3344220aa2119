import type { Loop } from './loop-health.ts';

/** A failed part that was not tried again for this long is considered gone. */
const FORGOTTEN_MS = 60_000;

/** The parts of a loop, by name. The loop succeeds once every failed part has succeeded. */
export interface LoopParts {
  succeeded(part: string): void;
  failed(part: string, error: unknown): number;
}

/** Splits a loop into parts, so that parts which succeed do not hide a part that always fails. */
export function createLoopParts(loop: Loop): LoopParts {
  const failedAt = new Map<string, number>();
  return {
    succeeded(part) {
      failedAt.delete(part);
      const forgotten = performance.now() - FORGOTTEN_MS;
      for (const [other, at] of failedAt) if (at < forgotten) failedAt.delete(other);
      if (failedAt.size === 0) loop.succeeded();
    },
    failed(part, error) {
      failedAt.set(part, performance.now());
      return loop.failed(error);
    },
  };
}
