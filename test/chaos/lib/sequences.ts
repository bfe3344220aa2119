import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

const GIVE_UP_MS = 10_000;
/** A balancer without a server answers at once. */
const AGAIN_MS = 200;
/** This share of webhooks fails once or twice before it succeeds. */
const FAILING = 0.1;

export interface SequenceOptions {
  readonly url: string;
  readonly subscriptionIds: readonly number[];
  /** Ordering keys of each subscription; null: without a key. */
  readonly keys: readonly (string | null)[];
}

export interface Sequences {
  /** When each webhook was accepted, by its id. */
  readonly accepted: ReadonlyMap<string, number>;
  /** Answers other than 202. */
  readonly refused: number;
  /** Waits until the last webhook of each sequence is accepted. */
  stop(): Promise<void>;
}

/**
 * Sends the webhooks of each key one after the other, numbered from 1. Each is sent again with the same idempotency key
 * until it is accepted, to whatever host answers, so that each number is accepted once, in order.
 */
export function startSequences({ url, subscriptionIds, keys }: SequenceOptions): Sequences {
  const accepted = new Map<string, number>();
  let refused = 0;
  let stopped = false;

  async function accept(idempotencyKey: string, webhook: object): Promise<string> {
    for (;;) {
      try {
        const response = await fetch(`${url}/v1/webhooks`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
          body: JSON.stringify(webhook),
          signal: AbortSignal.timeout(GIVE_UP_MS),
        });
        const answer = (await response.json()) as { webhook_id: string };
        if (response.status === 202) return answer.webhook_id;
      } catch {
        // The outcome is unknown.
      }
      refused += 1;
      await sleep(AGAIN_MS);
    }
  }

  async function send(subscriptionId: number, key: string | null): Promise<void> {
    for (let n = 1; !stopped; n++) {
      const failures = Math.random() < FAILING ? 1 + Math.round(Math.random()) : 0;
      const id = await accept(randomUUID(), {
        event_type: 'order.changed',
        subscription_id: subscriptionId,
        raw: true,
        data: { n, key, failures },
        ...(key === null ? {} : { ordering_key: key }),
      });
      accepted.set(id, Date.now());
      await sleep(300 + 200 * Math.random());
    }
  }

  const sending = subscriptionIds.flatMap((id) => keys.map((key) => send(id, key)));
  return {
    accepted,
    get refused() {
      return refused;
    },
    async stop() {
      stopped = true;
      await Promise.all(sending);
    },
  };
}
