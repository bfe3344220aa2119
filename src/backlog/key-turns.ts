import { createHeap, type Heap } from '../lib/heap.ts';

/** A held delivery without its body. */
export interface Candidate {
  readonly webhookId: string;
  dueAt: number;
  /** The number of the last sweep that read it, or that was the last when it was first read. */
  seenInSweep: number;
}

/** A hash of the ordering key; without strict order, the webhook's id. */
export type KeyName = number | string;

/** Deliveries that are sent one after the other: those with one ordering key. */
export interface Key {
  readonly name: KeyName;
  /** The oldest deliveries of the key, in order and without a gap. */
  readonly queue: Candidate[];
  inFlight: string | null;
  /** After this id the key's deliveries were skipped for want of memory, and have to be read again. */
  unreadAfter: string | null;
  turn: Turn | null;
}

/** The oldest delivery of a key, while it waits for its turn. */
interface Turn extends Candidate {
  readonly key: Key;
  in: Heap<Turn>;
}

/** Chooses the key that sends next: among those that are due, the one with the oldest delivery. */
export interface KeyTurns {
  /** Gives a key its turn by the first delivery of its queue. */
  set(key: Key): void;
  clear(key: Key): void;
  /** Returns how many keys may send now. */
  ready(now: number): number;
  /** Returns how many keys wait until their delivery is due. */
  later(now: number): number;
  /** Takes the key with the oldest delivery that may be sent. */
  next(): Key | undefined;
  /** Takes a key whose delivery is due late, to make room. */
  popLate(now: number): Key | undefined;
  /** When the next waiting delivery is due, or infinity. */
  readonly dueAt: number;
}

export function createKeyTurns(): KeyTurns {
  const ready = createHeap<Turn>((a, b) => a.webhookId < b.webhookId);
  const later = createHeap<Turn>((a, b) => a.dueAt < b.dueAt);

  /** Moves turns that have become due to `ready`. */
  function promoteDue(now: number): void {
    for (let first = later.peek(); first !== undefined; first = later.peek()) {
      if (first.dueAt > now) return;
      later.pop();
      first.in = ready;
      ready.push(first);
    }
  }

  function clear(key: Key): void {
    key.turn?.in.delete(key.turn);
    key.turn = null;
  }

  function taken(turn: Turn | undefined): Key | undefined {
    if (turn !== undefined) turn.key.turn = null;
    return turn?.key;
  }

  return {
    set(key) {
      clear(key);
      key.turn = { ...(key.queue[0] as Candidate), key, in: later };
      later.push(key.turn);
    },
    clear,
    ready(now) {
      promoteDue(now);
      return ready.size;
    },
    later(now) {
      promoteDue(now);
      return later.size;
    },
    next: () => taken(ready.pop()),
    popLate(now) {
      promoteDue(now);
      return taken(later.popLate());
    },
    get dueAt() {
      return later.peek()?.dueAt ?? Number.POSITIVE_INFINITY;
    },
  };
}
