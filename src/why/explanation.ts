import type { RetrySchedule } from '../deliveries/retry-schedule.ts';
import type { Change } from './changes.ts';
import type { Facts } from './facts.sql.ts';

/** How a reason is told. */
export interface Explanation {
  /** One sentence, without a full stop at its end. */
  readonly sentence: string;
  /** Since when the reason holds; null: the database does not know. */
  readonly since: Date | null;
  /** Actions that would change the state, the best first. */
  readonly changes: readonly Change[];
}

/** @param schedule of the settings, for subscriptions that have none of their own. */
export type Explain = (facts: Facts, schedule: RetrySchedule) => Explanation;
