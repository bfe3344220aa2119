import type pg from 'pg';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';

/** The watermark of posthorn.committed_before is this much behind, and less while no transaction writes. */
const EVERY_MS = 10_000;

/** Writes the marks that posthorn.committed_before reads. While nothing else is written, it writes nothing. */
export function createCommitMarks(pool: pg.Pool, loop: Loop): Periodic {
  return createPeriodic({
    everyMs: EVERY_MS,
    loop,
    run: () => pool.query({ name: 'mark-commits', text: 'select posthorn.mark_commits()' }),
  });
}
