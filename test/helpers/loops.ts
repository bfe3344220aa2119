import type { Loop } from '../../src/lib/loop-health.ts';

/** A loop whose news nobody reads. */
export const anyLoop: Loop = { succeeded() {}, failed: () => 100 };
