import { formatDuration } from '../lib/duration.ts';
import {
  advise,
  type Change,
  editLimit,
  editUrl,
  enable,
  MEND_RECEIVER,
  pull,
  resume,
  WAIT,
} from './changes.ts';
import type { Facts } from './facts.sql.ts';
import type { Rule } from './reasons.ts';
import { aheadOf, comingTime, countOf, keyOf, quote, subscriptionOf, timeOf } from './words.ts';

/** Why deliveries of a subscription are held, and what would change that. */
export const RULES: {
  readonly [R in Rule]: {
    /** The end of a sentence: `subscription 7 is paused since …`. */
    because(facts: Facts): string;
    changes(facts: Facts): readonly Change[];
  };
} = {
  paused: {
    because: (facts) => `${subscriptionOf(facts)} is paused${statusSince(facts)}`,
    changes: (facts) =>
      facts.subscription.isSkipping
        ? [advise('wait', 'wait until the deliveries from before are cancelled')]
        : [resume(facts)],
  },
  disabled: {
    because: (facts) => `${subscriptionOf(facts)} is disabled${statusSince(facts)}`,
    changes: ({ subscriptionId }) => [
      enable(subscriptionId, 'to send what is held'),
      editUrl(subscriptionId),
    ],
  },
  circuit_open: {
    because(facts) {
      const { circuit, now } = facts;
      const since = circuit?.openedAt == null ? '' : ` since ${timeOf(circuit.openedAt, now)}`;
      const failures = circuit?.failures ?? 0;
      const last = quote(circuit?.lastError ?? circuit?.lastErrorCode ?? 'an unknown error');
      const why =
        circuit?.byFailures === false
          ? `because its receiver asked for a pause (Retry-After); the last failure was ${last}`
          : `with ${countOf(failures, 'failure', 'failures')} in a row, the last ${last}`;
      return `the circuit of ${subscriptionOf(facts)} is open${since} ${why}`;
    },
    changes: ({ subscriptionId }) => [
      MEND_RECEIVER,
      enable(subscriptionId),
      editUrl(subscriptionId),
    ],
  },
  pull: {
    because: (facts) => `the receiver of ${subscriptionOf(facts)} pulls its webhooks`,
    changes: (facts) => [pull(facts)],
  },
  ordering: {
    because(facts) {
      const { queue, subscriptionId, now } = facts;
      const rule = `${subscriptionOf(facts)} sends in strict order`;
      const behind = queue?.behind ?? null;
      if (behind === null)
        return queue !== null && !queue.complete
          ? `${rule}, and older deliveries of ${keyOf(facts)} go first; ${aheadOf(facts)}`
          : `${rule}, one delivery of an ordering key at a time`;
      const first = `delivery ${behind.webhookId}.${subscriptionId} of ${keyOf(facts)} goes first`;
      const next =
        behind.dueAt !== null && behind.dueAt > now
          ? `; its next attempt, after ${behind.attemptCount}, is due at ${comingTime(behind.dueAt, now)}`
          : '; it is due, and waits for its turn or is being sent now';
      return `${rule}, and ${first}${next}`;
    },
    changes: () => [WAIT],
  },
  rate_limit: {
    because({ subscription, subscriptionId }) {
      const { limit, perMs } = subscription.rateLimit ?? { limit: 0, perMs: 1_000 };
      const most =
        subscription.maxInFlight === null
          ? ''
          : `, and at most ${countOf(subscription.maxInFlight, 'open request', 'open requests')}`;
      return `subscription ${subscriptionId} has a rate limit of ${countOf(limit, 'request', 'requests')} in ${formatDuration(perMs)}${most}`;
    },
    changes: (facts) => [WAIT, editLimit(facts, 'rate_limit')],
  },
  max_in_flight: {
    because: ({ subscription, subscriptionId }) =>
      `subscription ${subscriptionId} allows ${countOf(subscription.maxInFlight ?? 0, 'open request', 'open requests')} at once`,
    changes: (facts) => [WAIT, editLimit(facts, 'max_in_flight')],
  },
};

function statusSince({ subscription: { statusChangedAt, statusReason }, now }: Facts): string {
  const since = statusChangedAt === null ? '' : ` since ${timeOf(statusChangedAt, now)}`;
  return `${since}${statusReason === null ? '' : ` (${quote(statusReason)})`}`;
}
