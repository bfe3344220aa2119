import type pg from 'pg';

/** Bodies, answers and URLs of the tenants have this text, so a test finds whatever tells it. */
export const CONFIDENTIAL = 'confidential';

/** What a tenant has: a subscription, and a webhook with a failed delivery. */
export interface OfTenant {
  readonly tenant: string;
  readonly subscription: number;
  readonly webhook: string;
}

/**
 * Adds tenants, each with a subscription, and with a webhook whose only attempt was answered with 500.
 *
 * @param client of the owner.
 */
export async function addTenants<const Name extends string>(
  client: pg.Client,
  names: readonly Name[],
): Promise<Record<Name, OfTenant>> {
  const added = {} as Record<Name, OfTenant>;
  for (const tenant of names) {
    await client.query('insert into posthorn.tenants (id) values ($1) on conflict do nothing', [
      tenant,
    ]);
    const { rows } = await client.query<{ id: number }>(
      `insert into posthorn.subscriptions (tenant, url, secret)
       values ($1, 'https://receiver.example/' || $1 || '?token=${CONFIDENTIAL}', 'whsec_${CONFIDENTIAL}') returning id`,
      [tenant],
    );
    const subscription = rows[0]?.id as number;
    const sent = await client.query<{ id: string }>(
      `select posthorn.send('order.created', '{"note": "${CONFIDENTIAL}"}', $1) as id`,
      [tenant],
    );
    const webhook = sent.rows[0]?.id as string;
    await client.query(
      `insert into posthorn.delivery_attempts
         (webhook_id, subscription_id, attempt_number, status, response_code, error_code, error, duration_ms, response_excerpt)
       values ($1, $2, 1, 'failed', 500, 'http_status', 'The receiver answered 500', 3, '${CONFIDENTIAL}')`,
      [webhook, subscription],
    );
    await client.query(
      `update posthorn.deliveries
       set state = 'failed', attempt_count = 1, ended_at = now(), next_attempt_at = null, queued = false
       where webhook_id = $1`,
      [webhook],
    );
    await client.query(
      `insert into posthorn.counts_by_hour (tenant, subscription_id, hour, accepted, success, failed, timeout, blocked, duration_classes, duration_numbers)
       values ($1, 0, date_trunc('hour', now()), 0, 0, 1, 0, 0, '{2}', '{1}')`,
      [tenant],
    );
    added[tenant] = { tenant, subscription, webhook };
  }
  return added;
}
