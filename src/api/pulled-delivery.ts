import { isUtf8 } from 'node:buffer';
import type pg from 'pg';
import type { FreshLease } from '../deliveries/leases.sql.ts';
import { loadPayloads, MISSING, readBody } from '../deliveries/payloads.sql.ts';
import { writeToken } from '../pull/token.ts';
import { headersOf } from '../sending/courier.ts';
import type { CachedSubscription } from '../subscriptions/cache.ts';

/** A delivery as its receiver pulls it. */
export interface PulledDelivery {
  readonly token: string;
  readonly webhook_id: string;
  readonly attempt_number: number;
  readonly event_type: string | null;
  /** The headers that a request with it would have. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly encoding: 'utf-8' | 'base64';
}

/** A delivery that was handed out, and whose body cannot be read. */
export interface Unreadable {
  readonly lease: FreshLease;
  readonly problem: string;
}

/**
 * Loads what the receiver gets of deliveries that were handed out to it: the body, and the headers, which are signed now.
 */
export async function loadPulled(
  pool: pg.Pool,
  subscription: CachedSubscription,
  leases: readonly FreshLease[],
): Promise<{ deliveries: PulledDelivery[]; unreadable: Unreadable[] }> {
  const payloads = await loadPayloads(
    pool,
    leases.map(({ webhookId }) => webhookId),
  );
  const timestamp = Math.floor(Date.now() / 1000);
  const deliveries: PulledDelivery[] = [];
  const unreadable: Unreadable[] = [];
  for (const lease of leases) {
    const { webhookId } = lease;
    const payload = payloads.get(webhookId) ?? MISSING;
    // Large bodies one after another, so that few are in memory.
    const body =
      payload.body ?? (payload.problem === null ? await readBody(pool, webhookId) : null);
    if (body === null) {
      unreadable.push({ lease, problem: payload.problem ?? 'it has no body' });
      continue;
    }
    const list = headersOf({ ...payload, webhookId, body }, subscription, timestamp);
    const headers: Record<string, string> = {};
    for (let at = 0; at < list.length; at += 2)
      headers[(list[at] as string).toLowerCase()] = list[at + 1] as string;
    const isText = isUtf8(body);
    deliveries.push({
      token: writeToken(lease),
      webhook_id: webhookId,
      attempt_number: lease.attemptCount + 1,
      event_type: lease.eventType,
      headers,
      body: body.toString(isText ? 'utf8' : 'base64'),
      encoding: isText ? 'utf-8' : 'base64',
    });
  }
  return { deliveries, unreadable };
}
