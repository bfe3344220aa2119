import type pg from 'pg';

/** Longer than a subscription may fail before it is disabled, usually: the end of an incident is told by its begin. */
const KEEP = '30 days';

/** Deletes what is known of old notices (schema/functions/send_notices.sql). */
export async function forgetNotices(pool: pg.Pool): Promise<void> {
  await pool.query(`delete from posthorn.notices where at < now() - interval '${KEEP}'`);
}
