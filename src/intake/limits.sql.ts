import type pg from 'pg';

/**
 * Makes SQL keep the limits of this process: `posthorn.send` refuses what is larger, as HTTP does. Of
 * several processes with different settings, the one that started last counts.
 *
 * @param maxBodyBytes of a body as it is delivered.
 */
export async function setSqlLimits(pool: pg.Pool, maxBodyBytes: number): Promise<void> {
  await pool.query(
    `update posthorn.limits set max_body_bytes = $1, updated_at = now() where max_body_bytes <> $1`,
    [maxBodyBytes],
  );
}
