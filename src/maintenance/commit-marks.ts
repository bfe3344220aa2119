import type pg from 'pg';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';

/** Under load, the watermark of posthorn.committed_before is this much behind. */
const EVERY_MS = 10_000;
/** A process that sends nothing writes marks so seldom, since it should cost the database little. */
const IDLE_EVERY_MS = 5 * 60_000;

/**
 * Writes the marks that posthorn.committed_before reads. Where nothing was sent lately, readers seldom need a new one:
 * while no transaction writes, they need none at all.
 *
 * @param quietForMs returns the time since the last attempt of this process.
 */
export function createCommitMarks(pool: pg.Pool, loop: Loop, quietForMs: () => number): Periodic {
  let markedAt = Number.NEGATIVE_INFINITY;
  return createPeriodic({
    everyMs: EVERY_MS,
    loop,
    async run() {
      if (quietForMs() > 2 * EVERY_MS && performance.now() - markedAt < IDLE_EVERY_MS) return;
      // After a failure it is tried again, also while nothing is sent.
      markedAt = Number.NEGATIVE_INFINITY;
      await pool.query({ name: 'mark-commits', text: 'select posthorn.mark_commits()' });
      markedAt = performance.now();
    },
  });
}
