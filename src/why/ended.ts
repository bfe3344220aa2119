import { formatDuration } from '../lib/duration.ts';
import { expiryMs } from '../maintenance/expire-held.ts';
import { advise, type Change, editUrl, enable, retry } from './changes.ts';
import type { Explain } from './explanation.ts';
import type { Facts } from './facts.sql.ts';
import { attemptOf, numbered } from './plan.ts';
import type { Reason } from './reasons.ts';
import { endOf, quote, subscriptionOf, timeOf } from './words.ts';

/** Explains deliveries that have succeeded, failed or been cancelled. */
export const ENDED: { readonly [R in Reason<'succeeded' | 'failed' | 'cancelled'>]: Explain } = {
  delivered(facts) {
    const { lastAttempt } = facts;
    const answer =
      lastAttempt?.responseCode == null
        ? ''
        : `: the receiver answered ${lastAttempt.responseCode}`;
    const cutOff = lastAttempt?.error == null ? '' : ` (${quote(lastAttempt.error)})`;
    const attempt = lastAttempt === null ? '' : ` by attempt ${lastAttempt.number}`;
    return ended(facts, `Delivered${endedAt(facts)}${attempt}${answer}${cutOff}`);
  },

  expired(facts, schedule) {
    const time = formatDuration(expiryMs(facts.subscription.retrySchedule, schedule));
    if (facts.subscription.isPulled)
      return ended(
        facts,
        `Failed${endedAt(facts)}: it was due and nobody pulled it for as long as history is kept (POSTHORN_RETENTION)`,
      );
    return ended(
      facts,
      `Failed${endedAt(facts)}: it was due and held, with the circuit of ${subscriptionOf(facts)} open, for longer than ${time}, in which all its retries would have been made`,
      facts.circuit?.openedAt == null ? [] : [enable(facts.subscriptionId)],
    );
  },

  gone(facts) {
    return ended(
      facts,
      `Failed${endedAt(facts)}: the receiver answered attempt ${facts.lastAttempt?.number} with 410 Gone, which asks for no further attempts`,
      [editUrl(facts.subscriptionId), enable(facts.subscriptionId, 'if the receiver is back')],
    );
  },

  blocked(facts) {
    const { lastAttempt } = facts;
    return ended(
      facts,
      `Failed${endedAt(facts)}: attempt ${lastAttempt?.number} was not made, because the URL leads to an address that is not allowed (${quote(lastAttempt?.error ?? 'blocked')})`,
      [editUrl(facts.subscriptionId)],
    );
  },

  attempts_used_up(facts, schedule) {
    const { lastAttempt } = facts;
    return ended(
      facts,
      lastAttempt === null
        ? `Failed${endedAt(facts)}`
        : `Failed${endedAt(facts)}: ${numbered(attemptOf(facts, schedule))}, the last one, ${endOf(lastAttempt)}`,
      [advise('mend_receiver', 'mend the receiver')],
    );
  },

  skipped: (facts) =>
    ended(
      facts,
      `Cancelled${endedAt(facts)}: ${subscriptionOf(facts)} was enabled with \`backlog\` skip, which cancels what was unfinished`,
    ),

  subscription_deleted: (facts) =>
    ended(facts, `Cancelled${endedAt(facts)}, because ${subscriptionOf(facts)} was deleted`),

  cancelled: (facts) => ended(facts, `Cancelled${endedAt(facts)} by a request or by SQL`),
};

function endedAt({ delivery: { endedAt }, now }: Facts): string {
  return endedAt === null ? '' : ` at ${timeOf(endedAt, now)}`;
}

/** @param first what to do before it is sent again. */
function ended(facts: Facts, sentence: string, first: readonly Change[] = []) {
  return { sentence, since: facts.delivery.endedAt, changes: [...first, again(facts)] };
}

function again(facts: Facts): Change {
  if (facts.subscription.deletedAt === null && !facts.delivery.bodyExpired) return retry(facts);
  return advise('send_again', 'send it as a new webhook');
}
