import type pg from 'pg';
import { inTransaction } from '../db/transaction.ts';
import {
  type EndedLease,
  endLeases,
  findAcknowledged,
  type LeaseKeys,
  tellPullers,
} from '../deliveries/leases.sql.ts';
import { type LeaseOutcome, type RecordOptions, recordLeases } from './record-leases.ts';
import type { LeaseName } from './token.ts';

/** The result that a receiver reports for a delivery that it pulled. Released: it gives the delivery back, and no attempt counts. */
export interface Acknowledgement extends LeaseName {
  readonly outcome: LeaseOutcome | 'released';
}

/**
 * Ends leases of a subscription as its receiver says, and records the attempts. All of it is one transaction, and a
 * repetition changes nothing.
 *
 * @param acknowledgements each of another lease.
 * @returns the leases that had ended before, without an acknowledgement: nothing was recorded for these.
 */
export async function acknowledge(
  pool: pg.Pool,
  subscriptionId: number,
  acknowledgements: readonly Acknowledgement[],
  { schedule, onAttempt }: RecordOptions,
): Promise<LeaseName[]> {
  const given = new Map(acknowledgements.map((one) => [keyOf(one), one]));
  const { results, ended } = await inTransaction(pool, async (client) => {
    const ended = await endLeases(client, subscriptionId, keysOf(acknowledgements));
    const recorded: [EndedLease, LeaseOutcome][] = [];
    let released = false;
    for (const lease of ended) {
      const outcome = given.get(keyOf(lease))?.outcome;
      if (outcome === 'released') released = true;
      else if (outcome !== undefined) recorded.push([lease, outcome]);
    }
    const results = await recordLeases(client, recorded, schedule);
    if (released) await tellPullers(client, [subscriptionId]);
    return { results, ended };
  });
  for (const result of results) onAttempt(result);
  for (const lease of ended) given.delete(keyOf(lease));
  const before = await findAcknowledged(pool, subscriptionId, keysOf([...given.values()]));
  return [...given].filter(([key]) => !before.has(key)).map(([, name]) => name);
}

const keyOf = ({ webhookId, token }: LeaseName) => `${webhookId} ${token}`;

function keysOf(names: readonly LeaseName[]): LeaseKeys {
  return {
    webhooks: names.map(({ webhookId }) => webhookId),
    tokens: names.map(({ token }) => token),
  };
}
