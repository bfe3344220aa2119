import { createHeap } from '../lib/heap.ts';

/** A held delivery as its line knows it: without its body. */
export interface Candidate {
  readonly webhookId: string;
  /** Of its webhook, where the order is strict; null is a key as well. */
  readonly key: string | null;
  /** When its next attempt is due, by the same clock as `now`. */
  readonly dueAt: number;
}

/** What a line may have in memory. */
export interface LineBounds {
  /** Keys at once: when so many are blocked, what is behind them waits. */
  readonly keys: number;
  /** Deliveries, beyond the next one of each key, and of one key. */
  readonly queued: number;
  readonly queuedOfKey: number;
}

const BOUNDS: LineBounds = { keys: 10_000, queued: 20_000, queuedOfKey: 100 };
/** How many of those that are ready are compared, where the order is not by age alone. */
const MAX_RANKED = 100;

/** The deliveries that wait for each other. */
interface Key {
  readonly name: string;
  /** The next ones, without a gap between them, the oldest first. */
  readonly queue: Candidate[];
  underWay: string | null;
  /** There may be more of this key after that one; they were passed, for there are too many. */
  passedAfter: string | null;
}

/** Which deliveries of a backlog may be sent next. */
export interface Line {
  /** From where the next page is to be read. */
  readonly front: string | null;
  /** From where a page is to be read again, since a key has no more of those that were queued. */
  readonly passedAfter: string | null;
  /** Whether another page from the front would only be passed over. */
  readonly full: boolean;
  /** How many may be sent now. */
  ready(now: number): number;
  /**
   * The next that may be sent, at most so many. They are under way from then on.
   *
   * @param rank those of which it says less go first, among the next ones.
   */
  next(most: number, now: number, rank?: (webhookId: string) => number): string[];
  /** What was under way has ended (null), or is due again. */
  settled(webhookId: string, dueAt: number | null): void;
  /** Adds a page that was read from `front`. */
  add(page: readonly Candidate[]): void;
  /** Takes what was passed from a page that was read from `passedAfter`; whether there is more after it. */
  fill(page: readonly Candidate[], more: boolean): void;
  /** Forgets all but what is under way, to be read from the beginning. */
  restart(): void;
  isUnderWay(webhookId: string): boolean;
  /** When the next is due of those that have to wait, or infinity. */
  readonly dueAt: number;
}

/**
 * The order of a backlog: the oldest first. With strict order, of those with the same key one at a
 * time is under way, and one that is due later holds up all behind it; keys do not wait for each
 * other. Without, nothing waits for anything, as if each had a key of its own.
 *
 * However long the backlog, what is in memory is bounded: what is behind a key that is blocked is
 * passed, and read again when the key is free.
 */
export function createLine(strict: boolean, bounds: LineBounds = BOUNDS): Line {
  const keys = new Map<string, Key>();
  const underWay = new Map<string, Key>();
  /** Keys whose next one may be sent, the oldest first, and those whose next one is due later. */
  const ready = createHeap<Key>((a, b) => headOf(a).webhookId < headOf(b).webhookId);
  const later = createHeap<Key>((a, b) => headOf(a).dueAt < headOf(b).dueAt);
  /** Keys that have nothing queued, though there may be something. */
  const drained = new Set<Key>();
  let front: string | null = null;
  let queued = 0;

  const nameOf = ({ webhookId, key }: Candidate) => {
    if (!strict) return webhookId;
    return key === null ? '' : `=${key}`;
  };

  function place(key: Key): void {
    if (key.underWay !== null) return;
    if (key.queue.length > 0) {
      later.push(key);
    } else if (key.passedAfter !== null) {
      drained.add(key);
    } else {
      keys.delete(key.name);
    }
  }

  /** Finds those that have become due. */
  function look(now: number): void {
    for (let first = later.peek(); first !== undefined; first = later.peek()) {
      if (headOf(first).dueAt > now) return;
      later.pop();
      ready.push(first);
    }
  }

  /** Returns whether there was room. */
  function queue(key: Key, one: Candidate): boolean {
    if (key.queue.length >= bounds.queuedOfKey) return false;
    if (key.queue.length > 0 && queued >= bounds.queued) return false;
    key.queue.push(one);
    queued += 1;
    if (key.queue.length === 1) place(key);
    return true;
  }

  /** Of the first that are ready, the one of the lowest rank; of several, the oldest. */
  function popRanked(rank: (webhookId: string) => number): Key | undefined {
    const first: Key[] = [];
    while (first.length < MAX_RANKED) {
      const key = ready.pop();
      if (key === undefined) break;
      first.push(key);
    }
    const ranks = first.map(({ queue }) => rank((queue[0] as Candidate).webhookId));
    const [chosen] = first.splice(ranks.indexOf(Math.min(...ranks)), 1);
    for (const key of first) ready.push(key);
    return chosen;
  }

  return {
    get front() {
      return front;
    },
    get passedAfter() {
      let first: string | null = null;
      for (const { passedAfter } of drained)
        if (first === null || (passedAfter as string) < first) first = passedAfter;
      return first;
    },
    get full() {
      return keys.size >= bounds.keys;
    },
    ready(now) {
      look(now);
      return ready.size;
    },
    next(most, now, rank) {
      look(now);
      const chosen: string[] = [];
      while (chosen.length < most) {
        const key = rank === undefined ? ready.pop() : popRanked(rank);
        if (key === undefined) break;
        const { webhookId } = key.queue.shift() as Candidate;
        queued -= 1;
        key.underWay = webhookId;
        underWay.set(webhookId, key);
        chosen.push(webhookId);
      }
      return chosen;
    },
    settled(webhookId, dueAt) {
      const key = underWay.get(webhookId);
      if (key === undefined) return;
      underWay.delete(webhookId);
      key.underWay = null;
      if (dueAt !== null) {
        key.queue.unshift({ webhookId, key: null, dueAt });
        queued += 1;
      }
      place(key);
    },
    add(page) {
      for (const one of page) {
        const name = nameOf(one);
        let key = keys.get(name);
        if (key === undefined) {
          if (keys.size >= bounds.keys) return;
          key = { name, queue: [], underWay: null, passedAfter: null };
          keys.set(name, key);
        }
        // The first of a key is always queued, so there is one before it that it is after.
        if (key.passedAfter === null && !underWay.has(one.webhookId) && !queue(key, one))
          key.passedAfter = (key.queue.at(-1) as Candidate).webhookId;
        front = one.webhookId;
      }
    },
    fill(page, more) {
      const last = page.at(-1)?.webhookId ?? null;
      /** Keys of which not all were taken. */
      const overfull = new Set<Key>();
      for (const one of page) {
        // What is further on comes with the pages from the front.
        if (front === null || one.webhookId > front) break;
        const key = keys.get(nameOf(one));
        if (key === undefined || !drained.has(key) || overfull.has(key)) continue;
        if (one.webhookId <= (key.passedAfter as string)) continue;
        if (queue(key, one)) key.passedAfter = one.webhookId;
        else overfull.add(key);
      }
      const reached = !more || last === null || front === null || last >= front;
      for (const key of drained) {
        if (overfull.has(key)) {
          drained.delete(key);
          continue;
        }
        if (reached) key.passedAfter = null;
        else if ((key.passedAfter as string) < last) key.passedAfter = last;
        if (key.queue.length > 0) {
          drained.delete(key);
        } else if (reached) {
          drained.delete(key);
          place(key);
        }
      }
    },
    restart() {
      ready.clear();
      later.clear();
      drained.clear();
      queued = 0;
      front = null;
      for (const key of keys.values()) {
        key.queue.length = 0;
        key.passedAfter = null;
        if (key.underWay === null) keys.delete(key.name);
      }
    },
    isUnderWay: (webhookId) => underWay.has(webhookId),
    get dueAt() {
      const first = later.peek();
      return first === undefined ? Number.POSITIVE_INFINITY : headOf(first).dueAt;
    },
  };
}

const headOf = ({ queue }: Key) => queue[0] as Candidate;
