import type pg from 'pg';

/**
 * Applies this process's limits to SQL: `posthorn.send` refuses larger bodies, as HTTP does. If processes
 * have different settings, those of the last to start apply.
 *
 * @param maxBodyBytes the largest body to deliver, in bytes.
 */
export async function setSqlLimits(pool: pg.Pool, maxBodyBytes: number): Promise<void> {
  await pool.query(
    `update posthorn.limits set max_body_bytes = $1, updated_at = now() where max_body_bytes <> $1`,
    [maxBodyBytes],
  );
}
