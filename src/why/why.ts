import type pg from 'pg';
import type { RetrySchedule } from '../deliveries/retry-schedule.ts';
import type { Change } from './changes.ts';
import { ENDED } from './ended.ts';
import type { Explain } from './explanation.ts';
import { type Facts, readFacts } from './facts.sql.ts';
import { attemptOf, expiryOf } from './plan.ts';
import { type Reason, reasonOf } from './reasons.ts';
import { UNFINISHED } from './unfinished.ts';

/** The explanation of every reason. A reason without its sentence does not compile. */
const EXPLAIN: { readonly [R in Reason]: Explain } = { ...UNFINISHED, ...ENDED };

/** Why a delivery is in its state, and the facts behind that. */
export interface Why {
  readonly facts: Facts;
  readonly reason: Reason;
  /** A sentence, and unless it was delivered a second one, which says what would change it. */
  readonly why: string;
  readonly since: Date | null;
  readonly changes: readonly Change[];
  /** The next attempt, or the last one of a delivery that has ended. */
  readonly attempt: ReturnType<typeof attemptOf>;
  readonly expiresAt: Date | null;
}

/**
 * Explains a delivery of a tenant. All times are compared by the database's clock.
 *
 * @param pool with the planner settings `POOL_PLANS.lists`.
 * @param schedule of the settings, for subscriptions that have none of their own.
 * @returns undefined when the tenant has no such delivery.
 */
export async function explainDelivery(
  pool: pg.Pool,
  tenant: string,
  webhookId: string,
  subscriptionId: number,
  schedule: RetrySchedule,
): Promise<Why | undefined> {
  const facts = await readFacts(pool, tenant, webhookId, subscriptionId);
  if (facts === undefined) return undefined;
  const reason = reasonOf(facts);
  const { sentence, since, changes } = EXPLAIN[reason](facts, schedule);
  return {
    facts,
    reason,
    why:
      facts.delivery.state === 'succeeded' ? `${sentence}.` : `${sentence}. ${adviceOf(changes)}`,
    since,
    changes,
    attempt: attemptOf(facts, schedule),
    expiresAt: expiryOf(facts, schedule),
  };
}

/** Joins what would change it: `Mend the receiver, or POST …/enable to send what is held.` */
function adviceOf(changes: readonly Change[]): string {
  const text = changes.map(({ text }) => text).join(', or ');
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
