import { createBlockedKeys } from './blocked-keys.ts';
import { type Candidate, createKeyTurns, type Key, type KeyName } from './key-turns.ts';

/** Held deliveries as they were read, in the order of their ids, without their bodies. */
export interface HeldPage {
  readonly length: number;
  /** All ids up to this one were committed when it was read, or never will be. */
  readonly settledTo: string;
  webhookIdOf(at: number): string;
  /** The webhook's ordering key, where the order is strict. Deliveries with one key wait for each other. */
  keyOf(at: number): number;
  /** When its next attempt is due, by the same clock as `now`. */
  dueAtOf(at: number): number;
}

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

const BOUNDS: SendOrderBounds = {
  keys: 10_000,
  blockedKeys: 500_000,
  queued: 20_000,
  queuedOfKey: 100,
};

/**
 * `fill` reads the next deliveries of keys that had some skipped; `sweep`, from the beginning, those
 * that were committed late, made owed again, or skipped with their key; `ahead`, those after the front.
 */
export type ReadKind = 'fill' | 'sweep' | 'ahead';

/** Chooses which deliveries of a backlog are sent next. */
export interface SendOrder {
  /** A key has sent all that was queued of it and has more to read. */
  readonly wantsFill: boolean;
  readonly isSweeping: boolean;
  /** When a blocked key that is kept as a hash alone is due, so that a sweep is wanted; or infinity. */
  readonly sweepAt: number;
  /** Returns whether there is no memory for deliveries after the front. */
  isFull(now: number): boolean;
  /** Returns how many deliveries may be sent now. */
  ready(now: number): number;
  /**
   * Takes the next deliveries that may be sent, at most `limit`, the oldest first, and counts them as in
   * flight.
   */
  next(limit: number, now: number): string[];
  /** Deliveries that were taken and have not settled. */
  readonly inFlight: number;
  /** A delivery in flight has ended (null), or is due again. */
  settled(webhookId: string, dueAt: number | null): void;
  /**
   * Begins to read a page, which is passed to `take` before the next read begins.
   *
   * @returns `after`: read from this id on (null: from the beginning); `place`: where the page's new
   *   deliveries begin. Ids between the two may have been committed since they were last read; reading
   *   them again keeps newer deliveries from going first. `exact` skips them, for want of memory.
   */
  beginRead(kind: ReadKind, exact?: boolean): { after: string | null; place: string | null };
  /**
   * Takes a page. Deliveries that are known already stay as they are.
   *
   * @param more whether there is more after it.
   * @returns for how many rows there was memory; the rest has to be read again.
   */
  take(page: HeldPage, more: boolean, now: number): number;
  /** When the next waiting delivery is due, or infinity. */
  readonly dueAt: number;
}

/**
 * Orders a backlog: the oldest delivery first. With strict order, one delivery of each key is in
 * flight at a time, and one that is due later holds up all behind it; keys do not wait for each
 * other. Without strict order no delivery waits for another, as if each had a key of its own.
 *
 * Memory is bounded however long the backlog is: deliveries behind a blocked key are skipped, and read
 * again when the key is free. Where too many keys are blocked, only the hashes of some are kept, and
 * a sweep finds their deliveries again.
 */
export function createSendOrder(strict: boolean, bounds: SendOrderBounds = BOUNDS): SendOrder {
  const keys = new Map<KeyName, Key>();
  const inFlight = new Map<string, Key>();
  const keyTurns = createKeyTurns();
  /** Keys with nothing queued that may have more to read. */
  const drained = new Set<Key>();
  const blockedKeys = createBlockedKeys(bounds.blockedKeys);
  /** Deliveries that ended since the read under way began: they may still be on its page. */
  const endedSinceRead = new Set<string>();
  let read: { kind: ReadKind; after: string | null } = { kind: 'ahead', after: null };
  /** The last id read: deliveries up to it are known, or were skipped, or were committed late. */
  let front: string | null = null;
  /** No delivery up to this id can be committed late any more. */
  let settledTo: string | null = null;
  /** The last id of the sweep under way, and the number of sweeps so far. */
  let sweptTo: string | null | undefined;
  let sweeps = 0;
  let queued = 0;

  const nameOf = (page: HeldPage, at: number) => (strict ? page.keyOf(at) : page.webhookIdOf(at));

  function place(key: Key): void {
    keyTurns.clear(key);
    drained.delete(key);
    if (key.inFlight !== null) return;
    if (key.queue.length > 0) keyTurns.set(key);
    else if (key.unreadAfter !== null) drained.add(key);
    else keys.delete(key.name);
  }

  const hasRoom = ({ queue }: Key) =>
    queue.length === 0 || (queue.length < bounds.queuedOfKey && queued < bounds.queued);

  function queue(key: Key, candidate: Candidate): void {
    key.queue.push(candidate);
    queued += 1;
    if (key.queue.length === 1) place(key);
  }

  /** Inserts a delivery into a key's queue, in order. */
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

  /** Makes room for a key that is ready by dropping one that is not. */
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

  /** Takes the first delivery of a new key. Returns false when there is no memory for it. */
  function takeFirst(name: KeyName, candidate: Candidate, more: boolean, now: number): boolean {
    if (keys.size >= bounds.keys) {
      if (candidate.dueAt > now) return block(name, candidate.dueAt);
      if (!makeRoom(now)) return false;
    }
    const unreadAfter = more ? candidate.webhookId : null;
    const key: Key = { name, queue: [], inFlight: null, unreadAfter, turn: null };
    keys.set(name, key);
    queue(key, candidate);
    return true;
  }

  const candidateOf = (page: HeldPage, at: number): Candidate => ({
    webhookId: page.webhookIdOf(at),
    dueAt: page.dueAtOf(at),
    seenInSweep: sweeps,
  });

  /** Returns whether an older delivery of a key that is not in memory may have been skipped. */
  const mayBeBlocked = (name: KeyName, sweeping: boolean) =>
    strict && (sweeping ? blockedKeys.hasSwept : blockedKeys.has)(name as number);

  function addAhead(page: HeldPage, at: number, sweeping: boolean, now: number): boolean {
    const name = nameOf(page, at);
    const key = keys.get(name);
    if (key === undefined)
      return mayBeBlocked(name, sweeping) || takeFirst(name, candidateOf(page, at), false, now);
    if (key.unreadAfter !== null) return true;
    if (hasRoom(key)) queue(key, candidateOf(page, at));
    else key.unreadAfter = (key.queue.at(-1) as Candidate).webhookId;
    return true;
  }

  /** Adds a delivery behind the front: known, or committed late, or skipped with its key. */
  function addBehind(page: HeldPage, at: number, sweeping: boolean, now: number): boolean {
    const name = nameOf(page, at);
    const key = keys.get(name);
    const candidate = candidateOf(page, at);
    const { webhookId } = candidate;
    if (endedSinceRead.has(webhookId)) return true;
    // A new key: its deliveries between this one and the front are not known.
    if (key === undefined)
      return mayBeBlocked(name, sweeping) || takeFirst(name, candidate, strict, now);
    if (key.unreadAfter !== null && webhookId > key.unreadAfter) return true;
    if (key.inFlight === webhookId) return true;
    const known = key.queue.find((other) => other.webhookId === webhookId);
    if (known !== undefined) {
      known.seenInSweep = sweeps;
      return true;
    }
    insert(key, candidate);
    if (key.queue.length > bounds.queuedOfKey || (key.queue.length > 1 && queued > bounds.queued)) {
      key.queue.pop();
      queued -= 1;
      key.unreadAfter = (key.queue.at(-1) as Candidate).webhookId;
    }
    return true;
  }

  function addPage(page: HeldPage, sweeping: boolean, now: number): number {
    let at = 0;
    while (at < page.length && front !== null && page.webhookIdOf(at) <= front) {
      if (!addBehind(page, at, sweeping, now)) return at;
      at += 1;
    }
    const behind = at;
    while (at < page.length && addAhead(page, at, sweeping, now)) at += 1;
    if (at > behind) front = page.webhookIdOf(at - 1);
    return at;
  }

  /** Forgets deliveries that a sweep did not find: they were cancelled, or have expired. */
  function forgetUnseen(): void {
    for (const key of keys.values()) {
      const left = key.queue.filter(({ seenInSweep }) => seenInSweep === sweeps);
      if (left.length === key.queue.length) continue;
      queued -= key.queue.length - left.length;
      key.queue.splice(0, Number.POSITIVE_INFINITY, ...left);
      place(key);
    }
  }

  function fill(page: HeldPage, more: boolean): number {
    const last = page.length === 0 ? null : page.webhookIdOf(page.length - 1);
    const reached = !more || last === null || front === null || last >= front;
    // A key that was drained since the read began may lack deliveries from before this page.
    const filled = new Set(
      [...drained].filter(({ unreadAfter }) => (unreadAfter as string) >= (read.after ?? '')),
    );
    /** Keys with deliveries on this page for which there was no memory. */
    const overfull = new Set<Key>();
    for (let at = 0; at < page.length; at++) {
      const key = keys.get(nameOf(page, at));
      if (key === undefined || !filled.has(key) || overfull.has(key)) continue;
      const candidate = candidateOf(page, at);
      // Deliveries after the front come with `ahead` pages.
      if (front === null || candidate.webhookId > front) break;
      // All known deliveries of this key have ended: one before them was committed late.
      if (endedSinceRead.has(candidate.webhookId)) continue;
      if (hasRoom(key)) {
        queue(key, candidate);
        key.unreadAfter = candidate.webhookId;
      } else {
        overfull.add(key);
      }
    }
    for (const key of filled) {
      if (overfull.has(key)) continue;
      if (reached) key.unreadAfter = null;
      else if ((key.unreadAfter as string) < last) key.unreadAfter = last;
      place(key);
    }
    return page.length;
  }

  function add(page: HeldPage, more: boolean, now: number): number {
    const taken = addPage(page, read.kind === 'sweep', now);
    const all = taken === page.length;
    const last = taken === 0 ? null : page.webhookIdOf(taken - 1);
    const readTo = all && !more ? page.settledTo : last;
    const furthest = greater(settledTo, readTo);
    // Clocks go back, and so must this.
    settledTo = furthest === null ? null : lesser(furthest, page.settledTo);
    if (read.kind === 'sweep') {
      sweptTo = greater(sweptTo ?? null, last);
      const atFront = front === null || (sweptTo !== null && sweptTo >= front);
      if (all && (!more || atFront)) {
        sweptTo = undefined;
        blockedKeys.endSweep();
        forgetUnseen();
      }
    }
    return taken;
  }

  return {
    get wantsFill() {
      return drained.size > 0;
    },
    get isSweeping() {
      return sweptTo !== undefined;
    },
    get sweepAt() {
      return blockedKeys.dueAt;
    },
    isFull: (now) => keys.size >= bounds.keys && (keyTurns.later(now) === 0 || blockedKeys.full),
    ready: keyTurns.ready,
    get inFlight() {
      return inFlight.size;
    },
    next(limit, now) {
      const chosen: string[] = [];
      const ready = Math.min(limit, keyTurns.ready(now));
      while (chosen.length < ready) {
        const key = keyTurns.next() as Key;
        const { webhookId } = key.queue.shift() as Candidate;
        queued -= 1;
        key.inFlight = webhookId;
        inFlight.set(webhookId, key);
        chosen.push(webhookId);
      }
      return chosen;
    },
    settled(webhookId, dueAt) {
      const key = inFlight.get(webhookId);
      if (key === undefined) return;
      inFlight.delete(webhookId);
      key.inFlight = null;
      if (dueAt === null) endedSinceRead.add(webhookId);
      else insert(key, { webhookId, dueAt, seenInSweep: sweeps });
      place(key);
    },
    beginRead(kind, exact = false) {
      endedSinceRead.clear();
      if (kind === 'sweep' && sweptTo === undefined) {
        sweptTo = null;
        sweeps += 1;
        blockedKeys.beginSweep();
      }
      let place = kind === 'sweep' ? (sweptTo ?? null) : front;
      if (kind === 'fill')
        for (const { unreadAfter } of drained)
          place = lesser(place as string, unreadAfter as string);
      const after =
        exact || place === null || settledTo === null ? place : lesser(place, settledTo);
      read = { kind, after };
      return { after, place };
    },
    take: (page, more, now) => (read.kind === 'fill' ? fill(page, more) : add(page, more, now)),
    get dueAt() {
      return keyTurns.dueAt;
    },
  };
}

/** Ids compare as their text does; null is none. */
const lesser = (a: string, b: string) => (a < b ? a : b);
const greater = (a: string | null, b: string | null) =>
  a !== null && (b === null || a > b) ? a : b;
