import type { ReceiverLimits } from '../concurrency/receiver-limit.ts';
import type { Outcome } from '../sending/courier.ts';

/** Bounds on held deliveries in memory. Bytes are estimated from the mean of recent bodies. */
const MAX_LOADED = 1_000;
const MAX_LOADED_BYTES = 32 * 1024 * 1024;
/** The share of `MAX_LOADED` for receivers that have not answered yet. */
const UNPROVEN_SHARE = 0.5;

/** Counts the attempts of held deliveries in flight, and the memory that is left for more. */
export interface AttemptsInFlight {
  /** Returns the attempts of a subscription, also those of an ownership that was lost or of another order. */
  countOf(subscriptionId: number): number;
  /** Returns the room for more attempts, to be shared out in one round. */
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

export interface Room {
  /** Returns how many deliveries of a subscription may be loaded, at most the number given. */
  for(subscriptionId: number, limit: number): number;
  take(subscriptionId: number, count: number): void;
}

export function createAttemptsInFlight(receiverLimits: ReceiverLimits): AttemptsInFlight {
  const attempts = new Set<Promise<void>>();
  const counts = new Map<number, number>();
  let meanBytes = 1024;
  let unproven = 0;

  return {
    countOf: (subscriptionId) => counts.get(subscriptionId) ?? 0,
    room() {
      const limit = Math.max(1, Math.min(MAX_LOADED, Math.floor(MAX_LOADED_BYTES / meanBytes)));
      let free = limit - attempts.size;
      let freeUnproven = MAX_LOADED * UNPROVEN_SHARE - unproven;
      return {
        for: (id, wanted) =>
          Math.max(0, Math.min(wanted, free, receiverLimits.isProven(id) ? free : freeUnproven)),
        take(id, count) {
          free -= count;
          if (!receiverLimits.isProven(id)) freeUnproven -= count;
        },
      };
    },
    add(id, bytes, recorded, ended) {
      const proven = receiverLimits.isProven(id);
      if (!proven) unproven += 1;
      counts.set(id, (counts.get(id) ?? 0) + 1);
      meanBytes = meanBytes * 0.9 + bytes * 0.1;
      const done = recorded.then((outcome) => {
        attempts.delete(done);
        if (!proven) unproven -= 1;
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
