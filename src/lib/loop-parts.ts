import type { Loop } from './loop-health.ts';

/** A part that failed and was not tried again for so long is not done any more. */
const FORGOTTEN_MS = 60_000;

/** The parts of a loop, by name: the loop succeeds once each part that failed has succeeded. */
export interface LoopParts {
  succeeded(part: string): void;
  failed(part: string, error: unknown): number;
}

/** Splits a loop into parts, so that those which succeed do not hide one that fails each time. */
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
