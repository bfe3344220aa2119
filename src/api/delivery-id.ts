import { notFound } from './problems.ts';
import { splitDeliveryId } from './schemas/history.ts';

/** The largest Postgres `integer`; no subscription has a greater id. */
const MAX_ID = 2_147_483_647;

/**
 * Reads the id of a delivery, which must match `DELIVERY_ID`.
 *
 * @throws Problem (404) when no delivery can have it.
 */
export function readDeliveryId(id: string): { webhookId: string; subscriptionId: number } {
  const names = splitDeliveryId(id);
  if (names.subscriptionId > MAX_ID) throw notFound('delivery', id);
  return names;
}
