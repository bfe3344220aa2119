import { createHeap, type Heap } from '../lib/heap.ts';

/** A held delivery as its line knows it. */
export interface Candidate {
  readonly webhookId: string;
  readonly dueAt: number;
  /** The last sweep that came past it, or that there was when it came. */
  seenInSweep: number;
}

/** The deliveries that wait for each other. */
export interface Key {
  readonly name: number | string;
  /** The next ones, without a gap between them, the oldest first. */
  readonly queue: Candidate[];
  inFlight: string | null;
  /** There may be more of this key after that one; they were passed, for there are too many. */
  unreadAfter: string | null;
  turn: Turn | null;
}

/** The next one of a key, while it waits. */
interface Turn extends Candidate {
  readonly key: Key;
  in: Heap<Turn>;
}

/** Whose turn it is, of keys of which one waits. */
export interface KeyTurns {
  /** Lets the first of a key's queue wait for its turn, in place of the one that did. */
  set(key: Key): void;
  clear(key: Key): void;
  /** How many may be sent now. */
  ready(now: number): number;
  /** How many of them wait for their time. */
  later(now: number): number;
  /** The key of the oldest that may be sent, or of the one of the lowest rank; of several, the oldest. */
  next(rank: ((webhookId: string) => number) | undefined): Key | undefined;
  /** A key whose next one is due late. */
  popLate(now: number): Key | undefined;
  /** When the next is due of those that wait for their time, or infinity. */
  readonly dueAt: number;
}

/** How many of those that are ready are compared, where the order is not by age alone. */
const MAX_RANKED = 100;

export function createKeyTurns(): KeyTurns {
  const ready = createHeap<Turn>((a, b) => a.webhookId < b.webhookId);
  const later = createHeap<Turn>((a, b) => a.dueAt < b.dueAt);

  /** Finds those that have become due. */
  function promoteDue(now: number): void {
    for (let first = later.peek(); first !== undefined; first = later.peek()) {
      if (first.dueAt > now) return;
      later.pop();
      first.in = ready;
      ready.push(first);
    }
  }

  function popRanked(rank: (webhookId: string) => number): Turn | undefined {
    const first: Turn[] = [];
    while (first.length < MAX_RANKED) {
      const turn = ready.pop();
      if (turn === undefined) break;
      first.push(turn);
    }
    const ranks = first.map(({ webhookId }) => rank(webhookId));
    const [chosen] = first.splice(ranks.indexOf(Math.min(...ranks)), 1);
    for (const turn of first) ready.push(turn);
    return chosen;
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
    next: (rank) => taken(rank === undefined ? ready.pop() : popRanked(rank)),
    popLate(now) {
      promoteDue(now);
      return taken(later.popLate());
    },
    get dueAt() {
      return later.peek()?.dueAt ?? Number.POSITIVE_INFINITY;
    },
  };
}
