import type { DeliverJob } from './jobs.sql.ts';

/** The channel on which the SQL function store_webhook notifies workers of webhooks that it has handed over. */
export const ANNOUNCEMENTS = 'posthorn_handed_over';
const PATTERN =
  /^(\d{1,10}) (\d{1,10}) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) (\d{1,10}(?:,\d{1,10}){0,24})$/;

/** The deliveries of a webhook, which was handed over to a worker. */
export interface Announcement {
  readonly worker: number;
  readonly job: DeliverJob;
}

/** Returns what a notification says (at most 25 subscriptions), or undefined if it is not one of ours: any role of the database may notify. */
export function readAnnouncement(payload: string): Announcement | undefined {
  const [, worker, bytes, webhook, subscriptions] = PATTERN.exec(payload) ?? [];
  if (webhook === undefined) return undefined;
  const ids = (subscriptions as string).split(',').map(Number);
  if (ids.some((id) => id > 2 ** 31 - 1) || new Set(ids).size < ids.length) return undefined;
  return {
    worker: Number(worker),
    job: {
      attempt: 1,
      bytes: Number(bytes),
      webhooks: ids.map(() => webhook),
      subscriptions: ids,
    },
  };
}
