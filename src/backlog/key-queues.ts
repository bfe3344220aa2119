import { type BlockedKeys, createBlockedKeys } from './blocked-keys.ts';
import { type Candidate, createKeyTurns, type Key, type KeyName } from './key-turns.ts';

/** Bounds on what is kept in memory of one backlog. */
export interface SendOrderBounds {
  /** Keys with deliveries queued or in flight. */
  readonly keys: number;
  /** Blocked keys beyond these: only their hashes are kept. */
  readonly blockedKeys: number;
  /** Queued deliveries beyond the next one of each key, and of one key. */
  readonly queued: number;
  readonly queuedOfKey: number;
}

export const BOUNDS: SendOrderBounds = {
  keys: 10_000,
  blockedKeys: 500_000,
  queued: 20_000,
  queuedOfKey: 100,
};

/** The deliveries of a backlog that are in memory, in a queue for each key. */
export interface KeyQueues {
  get(name: KeyName): Key | undefined;
  /** Keys with nothing queued that may have more to read. */
  readonly drained: ReadonlySet<Key>;
  readonly blockedKeys: BlockedKeys;
  /** Returns whether an older delivery of a key that is not in memory may have been skipped. */
  mayBeBlocked(name: KeyName, sweeping: boolean): boolean;
  /**
   * Adds a key with its first delivery.
   *
   * @param more whether its later deliveries have to be read.
   * @returns false when there is no memory for it.
   */
  addKey(name: KeyName, first: Candidate, more: boolean, now: number): boolean;
  /** Adds a delivery at the end of a key's queue. Returns false when there is no memory for it. */
  append(key: Key, candidate: Candidate): boolean;
  /** Inserts a delivery into a key's queue, in order. Without memory, the last of the queue has to be read again. */
  insert(key: Key, candidate: Candidate): void;
  /** A queued delivery is due at another time than was known. */
  setDue(key: Key, candidate: Candidate, dueAt: number): void;
  /** Sets after which id the key's deliveries have to be read again; null: all are known. */
  setUnread(key: Key, after: string | null): void;
  /** Forgets deliveries that a sweep did not find. */
  forgetUnseen(sweep: number): void;
  /** Takes the oldest deliveries that may be sent, and counts them as in flight. */
  take(limit: number, now: number): string[];
  /** A delivery in flight has ended (null), or is to be sent again. Returns whether it was known. */
  settle(webhookId: string, again: Candidate | null): boolean;
  readonly inFlight: number;
  /** Returns how many deliveries may be sent now. */
  ready(now: number): number;
  /** When the next waiting delivery is due, or infinity. */
  readonly dueAt: number;
  /** Returns whether there is no memory for new keys. */
  isFull(now: number): boolean;
}

/**
 * Keeps deliveries in memory within bounds. Of each key one delivery is in flight at a time, and the
 * next ones wait in its queue. A blocked key may be dropped for one that can send: its hash is kept.
 */
export function createKeyQueues(strict: boolean, bounds: SendOrderBounds): KeyQueues {
  const keys = new Map<KeyName, Key>();
  const inFlight = new Map<string, Key>();
  const keyTurns = createKeyTurns();
  const drained = new Set<Key>();
  const blockedKeys = createBlockedKeys(bounds.blockedKeys);
  /** Deliveries in all queues. */
  let queued = 0;

  /** Files a key by what it waits for: its turn, its attempt in flight, or being read on. */
  function place(key: Key): void {
    keyTurns.clear(key);
    drained.delete(key);
    if (key.inFlight !== null) return;
    if (key.queue.length > 0) keyTurns.set(key);
    else if (key.unreadAfter !== null) drained.add(key);
    else keys.delete(key.name);
  }

  function push(key: Key, candidate: Candidate): void {
    key.queue.push(candidate);
    queued += 1;
    if (key.queue.length === 1) place(key);
  }

  function insert(key: Key, candidate: Candidate): void {
    const after = key.queue.findIndex(({ webhookId }) => webhookId > candidate.webhookId);
    const at = after === -1 ? key.queue.length : after;
    key.queue.splice(at, 0, candidate);
    queued += 1;
    if (at === 0) place(key);
  }

  function block(name: KeyName, dueAt: number): boolean {
    // Without strict order a skipped delivery holds up no other: only its due time matters.
    return blockedKeys.add(strict ? (name as number) : 0, dueAt);
  }

  /** Makes room for a key that is ready by dropping a key that is not. */
  function makeRoom(now: number): boolean {
    const late = keyTurns.popLate(now);
    if (late === undefined) return false;
    if (!block(late.name, (late.queue[0] as Candidate).dueAt)) {
      place(late);
      return false;
    }
    queued -= late.queue.length;
    keys.delete(late.name);
    return true;
  }

  return {
    get: (name) => keys.get(name),
    drained,
    blockedKeys,
    mayBeBlocked: (name, sweeping) =>
      strict && (sweeping ? blockedKeys.hasSwept : blockedKeys.has)(name as number),
    addKey(name, first, more, now) {
      if (keys.size >= bounds.keys) {
        if (first.dueAt > now) return block(name, first.dueAt);
        if (!makeRoom(now)) return false;
      }
      const unreadAfter = more ? first.webhookId : null;
      const key: Key = { name, queue: [], inFlight: null, unreadAfter, turn: null };
      keys.set(name, key);
      push(key, first);
      return true;
    },
    append(key, candidate) {
      const { length } = key.queue;
      const hasRoom = length === 0 || (length < bounds.queuedOfKey && queued < bounds.queued);
      if (hasRoom) push(key, candidate);
      return hasRoom;
    },
    insert(key, candidate) {
      insert(key, candidate);
      const { length } = key.queue;
      if (length <= bounds.queuedOfKey && (length === 1 || queued <= bounds.queued)) return;
      key.queue.pop();
      queued -= 1;
      key.unreadAfter = (key.queue.at(-1) as Candidate).webhookId;
    },
    setDue(key, candidate, dueAt) {
      candidate.dueAt = dueAt;
      if (key.queue[0] === candidate) place(key);
    },
    setUnread(key, after) {
      key.unreadAfter = after;
      place(key);
    },
    forgetUnseen(sweep) {
      for (const key of keys.values()) {
        const left = key.queue.filter(({ seenInSweep }) => seenInSweep === sweep);
        if (left.length === key.queue.length) continue;
        queued -= key.queue.length - left.length;
        key.queue.splice(0, Number.POSITIVE_INFINITY, ...left);
        place(key);
      }
    },
    take(limit, now) {
      const taken: string[] = [];
      const ready = Math.min(limit, keyTurns.ready(now));
      while (taken.length < ready) {
        const key = keyTurns.next() as Key;
        const { webhookId } = key.queue.shift() as Candidate;
        queued -= 1;
        key.inFlight = webhookId;
        inFlight.set(webhookId, key);
        taken.push(webhookId);
      }
      return taken;
    },
    settle(webhookId, again) {
      const key = inFlight.get(webhookId);
      if (key === undefined) return false;
      inFlight.delete(webhookId);
      key.inFlight = null;
      if (again !== null) insert(key, again);
      place(key);
      return true;
    },
    get inFlight() {
      return inFlight.size;
    },
    ready: keyTurns.ready,
    get dueAt() {
      return keyTurns.dueAt;
    },
    isFull: (now) => keys.size >= bounds.keys && (keyTurns.later(now) === 0 || blockedKeys.full),
  };
}
