import type { DeliveryMemory } from '../concurrency/delivery-memory.ts';
import { SMALL_BODY_BYTES } from '../deliveries/payloads.sql.ts';
import type { Outcome } from '../sending/courier.ts';

/** Counts the attempts of held deliveries in flight, also in the memory that these share with the queue. */
export interface AttemptsInFlight {
  /** Returns the attempts of a subscription, also those of an ownership that was lost or of another order. */
  countOf(subscriptionId: number): number;
  /** Returns the room for one load of deliveries. */
  room(): Room;
  /** Counts an attempt from now until it is recorded; then `ended` is called. */
  add(
    subscriptionId: number,
    bytes: number,
    recorded: Promise<Outcome>,
    ended: (outcome: Outcome) => void,
  ): void;
  /** Resolves when no attempt is in flight. */
  idle(): Promise<void>;
}

/** Memory for deliveries that are to be loaded. How large their bodies are is known afterwards. */
export interface Room {
  /** Returns how many deliveries may be loaded, at most the number given. */
  atMost(limit: number): number;
  take(count: number): void;
  /** Ends the load: the attempts that began have been added. */
  release(): void;
}

export function createAttemptsInFlight(memory: DeliveryMemory): AttemptsInFlight {
  const attempts = new Set<Promise<void>>();
  const counts = new Map<number, number>();

  return {
    countOf: (subscriptionId) => counts.get(subscriptionId) ?? 0,
    room() {
      let taken = 0;
      return {
        atMost: (limit) => Math.min(limit, memory.roomForHeld(SMALL_BODY_BYTES)),
        take(count) {
          taken += count;
          memory.addHeld(count, count * SMALL_BODY_BYTES);
        },
        release: () => memory.release('backlog', taken, taken * SMALL_BODY_BYTES),
      };
    },
    add(id, bytes, recorded, ended) {
      memory.addHeld(1, bytes);
      counts.set(id, (counts.get(id) ?? 0) + 1);
      const done = recorded.then((outcome) => {
        attempts.delete(done);
        memory.release('backlog', 1, bytes);
        const left = (counts.get(id) as number) - 1;
        if (left === 0) counts.delete(id);
        else counts.set(id, left);
        ended(outcome);
      });
      attempts.add(done);
    },
    async idle() {
      await Promise.all(attempts);
    },
  };
}
