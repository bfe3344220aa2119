import type pg from 'pg';

/** Usually longer than a subscription may fail before it is disabled: a notice that ends an incident needs the one that began it. */
const KEEP = '30 days';

/** Deletes the rows of old notices (schema/functions/send_notices.sql). */
export async function forgetNotices(pool: pg.Pool): Promise<void> {
  await pool.query(`delete from posthorn.notices where at < now() - interval '${KEEP}'`);
}
