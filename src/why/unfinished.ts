import type { RetrySchedule } from '../deliveries/retry-schedule.ts';
import { advise, cancel, retry, START_WORKER, WAIT } from './changes.ts';
import type { Explain } from './explanation.ts';
import type { Facts } from './facts.sql.ts';
import { attemptOf, expiryOf, numbered } from './plan.ts';
import { type Reason, type Rule, ruleOf } from './reasons.ts';
import { RULES } from './rules.ts';
import {
  aheadOf,
  comingTime,
  endOf,
  keyOf,
  openRequests,
  spanOf,
  subscriptionOf,
  timeOf,
} from './words.ts';

/** Explains deliveries that are pending or held. */
export const UNFINISHED: { readonly [R in Reason<'pending' | 'held'>]: Explain } = {
  cancelling(facts) {
    const { deletedAt } = facts.subscription;
    const when = deletedAt === null ? '' : ` at ${timeOf(deletedAt, facts.now)}`;
    return {
      sentence: `Being cancelled: ${subscriptionOf(facts)} was deleted${when}, and a worker cancels its deliveries in batches; it is not sent`,
      since: deletedAt,
      changes: [WAIT],
    };
  },

  skipping(facts) {
    const { statusChangedAt } = facts.subscription;
    return {
      sentence: `Being cancelled: ${subscriptionOf(facts)} was enabled with \`backlog\` skip, and a worker cancels what was unfinished then; it is not sent`,
      since: statusChangedAt,
      changes: [WAIT],
    };
  },

  scheduled(facts) {
    const { delivery, now } = facts;
    const due = comingTime(delivery.dueAt ?? now, now);
    return {
      sentence:
        (delivery.deliverAt === null
          ? `Pending: its first attempt is due at ${due}`
          : `Scheduled: its sender asked for its delivery at ${due}`) + thenHeld(facts),
      since: delivery.acceptedAt,
      changes: [retry(facts, 'to send it now'), cancel(facts)],
    };
  },

  retry(facts, schedule) {
    const { delivery, lastAttempt, now } = facts;
    const state = delivery.state === 'held' ? 'Held' : 'Pending';
    const before =
      lastAttempt === null
        ? ''
        : `attempt ${lastAttempt.number} ${endOf(lastAttempt)} at ${timeOf(lastAttempt.at, now)}, and `;
    const next = numbered(attemptOf(facts, schedule));
    const key =
      facts.subscription.ordering === 'strict'
        ? ', before later deliveries of its ordering key'
        : '';
    return {
      sentence: `${state}: ${before}${next} is due at ${comingTime(delivery.dueAt ?? now, now)}${key}${thenHeld(facts)}`,
      since: lastAttempt?.at ?? null,
      changes:
        delivery.state === 'held'
          ? [advise('mend_receiver', 'mend the receiver'), cancel(facts)]
          : [advise('mend_receiver', 'mend the receiver'), retry(facts, 'to send it now')],
    };
  },

  no_worker(facts) {
    const { delivery } = facts;
    const who = delivery.state === 'held' ? 'sends held deliveries' : 'takes jobs from the queue';
    return {
      sentence: `${stateOf(facts)}: it is due${sinceDue(facts)}, and no worker is running that ${who}`,
      since: delivery.dueAt,
      changes: [START_WORKER],
    };
  },

  to_be_held(facts) {
    const rule = ruleOf(facts);
    const because = rule === null ? '' : RULES[rule].because(facts);
    const where = facts.workers.holder === null ? 'in the queue' : 'in the memory of a worker';
    return {
      sentence: `Pending: it is due${sinceDue(facts)} and ${where}; unless its request is open already, the worker will hold it, because ${because}`,
      since: facts.delivery.dueAt,
      changes: rule === null ? [WAIT] : RULES[rule].changes(facts),
    };
  },

  handed_over(facts) {
    const { holder } = facts.workers;
    const worker = `worker ${holder?.id}`;
    return {
      sentence: `Pending: ${worker} has had it in memory since it was accepted at ${timeOf(facts.delivery.acceptedAt, facts.now)}, and is sending it now or waits for a free place at its receiver${openRequests(facts)}`,
      since: facts.delivery.dueAt,
      changes: [WAIT],
    };
  },

  worker_ended(facts) {
    return {
      sentence: `Pending: worker ${facts.workers.holder?.id}, which had it in memory since it was accepted at ${timeOf(facts.delivery.acceptedAt, facts.now)}, has ended; another worker adds a job for it within seconds`,
      since: facts.delivery.dueAt,
      changes: [WAIT],
    };
  },

  waking(facts) {
    return {
      sentence: `Pending: it is due${sinceDue(facts)} and has no job in the queue yet; a worker adds the missing jobs every 15 s`,
      since: facts.delivery.dueAt,
      changes: [WAIT],
    };
  },

  queued(facts) {
    return {
      sentence: `Pending: it is due${sinceDue(facts)}, and waits for its turn in the queue or is being sent now${openRequests(facts)}`,
      since: facts.delivery.dueAt,
      changes: [WAIT],
    };
  },

  paused: (facts) => heldBy('paused', facts, facts.subscription.statusChangedAt),

  disabled: (facts) => heldBy('disabled', facts, facts.subscription.statusChangedAt),

  circuit_open(facts, schedule) {
    const { circuit, workers, now } = facts;
    const probeAt = circuit?.probeAt ?? now;
    const probe =
      workers.ofBacklogs === 0
        ? `the next probe is due at ${comingTime(probeAt, now)}, but no worker is running that sends it`
        : `the next probe is due at ${comingTime(probeAt, now)}`;
    return {
      ...heldBy('circuit_open', facts, circuit?.openedAt ?? null),
      sentence: `Held: ${RULES.circuit_open.because(facts)}; ${probe}${expiry(facts, schedule)}`,
      ...(workers.ofBacklogs === 0
        ? { changes: [START_WORKER, ...RULES.circuit_open.changes(facts)] }
        : {}),
    };
  },

  probing(facts, schedule) {
    const { circuit, now } = facts;
    const due = circuit?.probeAt == null ? '' : ` since ${timeOf(circuit.probeAt, now)}`;
    return {
      ...heldBy('circuit_open', facts, circuit?.openedAt ?? null),
      sentence: `Held: ${RULES.circuit_open.because(facts)}; a probe is due${due}, and this delivery or another is chosen for it or is being sent${expiry(facts, schedule)}`,
    };
  },

  leased({ delivery, lease, subscription, now }) {
    const pulledAt = lease?.pulledAt ?? now;
    const endsAt = lease?.endsAt ?? now;
    const ends =
      endsAt > now
        ? `it has to be acknowledged by ${comingTime(endsAt, now)}`
        : `its lease ended at ${timeOf(endsAt, now)}, and a worker records that within seconds`;
    const others = subscription.ordering === 'strict' ? '; later deliveries of its key wait' : '';
    return {
      sentence: `Held: its receiver pulled it at ${timeOf(pulledAt, now)} as attempt ${delivery.attemptCount + 1}, and has not acknowledged it; ${ends}${others}`,
      since: pulledAt,
      changes: [WAIT],
    };
  },

  to_be_pulled(facts) {
    const { subscription, delivery, now } = facts;
    const last =
      subscription.pulledAt === null
        ? 'has never done so'
        : `did so last at ${timeOf(subscription.pulledAt, now)}`;
    return {
      sentence: `Held: it is due${sinceDue(facts)}; ${RULES.pull.because(facts)}, and ${last}; ${aheadOf(facts)}`,
      since: delivery.dueAt,
      changes: RULES.pull.changes(facts),
    };
  },

  no_owner(facts) {
    return {
      sentence: `Held: it is due${sinceDue(facts)}, and no worker owns the backlog of ${subscriptionOf(facts)} at this moment; a worker takes it within 30 s`,
      since: facts.delivery.dueAt,
      changes: [WAIT],
    };
  },

  ordering(facts) {
    const { queue, subscriptionId, delivery } = facts;
    const behind = queue?.behind ?? null;
    return {
      sentence: `Held: ${RULES.ordering.because(facts)}`,
      since: delivery.dueAt,
      changes:
        behind === null
          ? [WAIT]
          : [
              advise(
                'mend_receiver',
                'mend the receiver so that it takes the delivery that goes first',
              ),
              cancel(
                { webhookId: behind.webhookId, subscriptionId },
                'to cancel the delivery that goes first',
              ),
            ],
    };
  },

  rate_limit(facts) {
    const { queue, subscription } = facts;
    const { limit, perMs } = subscription.rateLimit ?? { limit: 1, perMs: 0 };
    const ahead = queue?.ahead ?? 0;
    const takes = `, which takes ${queue?.aheadMore ? 'more than' : 'about'} ${spanOf((ahead * perMs) / limit)} at that rate`;
    return {
      sentence: `Held: ${RULES.rate_limit.because(facts)}, so it waits for its turn or is being sent now; ${aheadOf(facts)}${ahead > 1 ? takes : ''}`,
      since: facts.delivery.dueAt,
      changes: RULES.rate_limit.changes(facts),
    };
  },

  max_in_flight(facts) {
    return {
      sentence: `Held: ${RULES.max_in_flight.because(facts)}, so it waits for its turn or is being sent now; ${aheadOf(facts)}${openRequests(facts)}`,
      since: facts.delivery.dueAt,
      changes: RULES.max_in_flight.changes(facts),
    };
  },

  next_of_key(facts) {
    return {
      sentence: `Held: ${subscriptionOf(facts)} sends in strict order, and this is the next delivery of ${keyOf(facts)}; it waits for a free place at its receiver or is being sent now${openRequests(facts)}`,
      since: facts.delivery.dueAt,
      changes: [WAIT],
    };
  },

  backlog(facts) {
    return {
      sentence: `Held: it is due${sinceDue(facts)} and in the backlog of ${subscriptionOf(facts)}, which a worker sends as fast as its receiver answers, the oldest first; it waits for its turn or is being sent now; ${aheadOf(facts)}${openRequests(facts)}`,
      since: facts.delivery.dueAt,
      changes: [WAIT],
    };
  },
};

const stateOf = ({ delivery }: Facts) => (delivery.state === 'held' ? 'Held' : 'Pending');

function heldBy(rule: Rule, facts: Facts, since: Date | null) {
  const { because, changes } = RULES[rule];
  return { sentence: `Held: ${because(facts)}`, since, changes: changes(facts) };
}

function sinceDue({ delivery: { dueAt }, now }: Facts): string {
  return dueAt === null ? '' : ` since ${timeOf(dueAt, now)}`;
}

/** What happens to a delivery that is due later, if its subscription stays as it is. */
function thenHeld(facts: Facts): string {
  const rule = ruleOf(facts);
  if (rule !== 'paused' && rule !== 'disabled' && rule !== 'circuit_open') return '';
  return `; it is held then if this has not changed: ${RULES[rule].because(facts)}`;
}

function expiry(facts: Facts, schedule: RetrySchedule): string {
  const at = expiryOf(facts, schedule);
  return at === null ? '' : `; if the circuit stays open, it expires at ${timeOf(at, facts.now)}`;
}
