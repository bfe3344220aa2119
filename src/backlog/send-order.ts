import { createBlockedKeys } from './blocked-keys.ts';
import { type Candidate, createKeyTurns, type Key } from './key-turns.ts';

/** Held deliveries as they were read, in the order of their ids, without their bodies. */
export interface HeldPage {
  readonly length: number;
  /** All ids up to this one were committed when it was read, or never will be. */
  readonly settledTo: string;
  webhookIdOf(at: number): string;
  /** Of its webhook, where the order is strict. Those with the same key wait for each other. */
  keyOf(at: number): number;
  /** When its next attempt is due, by the same clock as `now`. */
  dueAtOf(at: number): number;
}

/** What a line may have in memory. */
export interface SendOrderBounds {
  /** Keys of which something is queued or under way. */
  readonly keys: number;
  /** Keys beyond these that are blocked: of them no more is known than that. */
  readonly blockedKeys: number;
  /** Deliveries, beyond the next one of each key, and of one key. */
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
 * What a page is read for: to go on with keys of which some were passed; to find what was committed
 * late, owed anew, or passed with its key, from the beginning on; or what comes after the front.
 */
export type ReadKind = 'fill' | 'sweep' | 'ahead';

/** Which deliveries of a backlog may be sent next. */
export interface SendOrder {
  /** Whether a key has no more of those that were queued, so that a fill is wanted. */
  readonly wantsFill: boolean;
  readonly isSweeping: boolean;
  /** When a sweep is wanted, for a key is due of which no more is known; or infinity. */
  readonly sweepAt: number;
  /** Whether there is no memory for what comes after the front. */
  isFull(now: number): boolean;
  /** How many may be sent now. */
  ready(now: number): number;
  /**
   * The next that may be sent, at most so many. They are under way from then on.
   *
   * @param rank those of which it says less go first, among the next ones.
   */
  next(limit: number, now: number, rank?: (webhookId: string) => number): string[];
  /** What was under way has ended (null), or is due again. */
  settled(webhookId: string, dueAt: number | null): void;
  /**
   * A page is about to be read, and comes with `take` before the next is.
   *
   * @returns after which id it is to be read (null: from the beginning), and after which id there is
   *   what it is read for. Between these is what may be committed by now, and was not before: with
   *   that, what is accepted later never goes first. `exact` leaves it out, for want of memory.
   */
  beginRead(kind: ReadKind, exact?: boolean): { after: string | null; place: string | null };
  /**
   * Takes a page. What is known already stays as it is.
   *
   * @param more whether there is more after it.
   * @returns how many of it there was memory for: from there on it is to be read again.
   */
  take(page: HeldPage, more: boolean, now: number): number;
  /** When the next is due of those that have to wait, or infinity. */
  readonly dueAt: number;
}

/**
 * The order of a backlog: the oldest first. With strict order, of those with the same key one at a
 * time is under way, and one that is due later holds up all behind it; keys do not wait for each
 * other. Without, nothing waits for anything, as if each had a key of its own.
 *
 * However long the backlog, what is in memory is bounded: what is behind a key that is blocked is
 * passed, and read again when the key is free. Where too many keys are blocked, of some of them no
 * more is kept than that; a sweep finds them again.
 */
export function createSendOrder(strict: boolean, bounds: SendOrderBounds = BOUNDS): SendOrder {
  const keys = new Map<number | string, Key>();
  const inFlight = new Map<string, Key>();
  const keyTurns = createKeyTurns();
  /** Keys that have nothing queued, though there may be something. */
  const drained = new Set<Key>();
  const blockedKeys = createBlockedKeys(bounds.blockedKeys);
  /** What has ended since the page began to be read that comes next: it may still be on it. */
  const endedSinceRead = new Set<string>();
  let read: { kind: ReadKind; after: string | null } = { kind: 'ahead', after: null };
  /** How far it was read: what is behind that is known, or was passed, or committed late. */
  let front: string | null = null;
  /** Up to there nothing is committed any more that is not known. */
  let settledTo: string | null = null;
  /** How far the sweep has come that goes on, and how many there have been. */
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

  /** Puts one into its place among those that are queued. */
  function insert(key: Key, candidate: Candidate): void {
    const after = key.queue.findIndex(({ webhookId }) => webhookId > candidate.webhookId);
    const at = after === -1 ? key.queue.length : after;
    key.queue.splice(at, 0, candidate);
    queued += 1;
    if (at === 0) place(key);
  }

  function block(name: number | string, dueAt: number): boolean {
    // Without keys, what was passed holds up nobody: it is enough to know when it is due.
    return blockedKeys.add(strict ? (name as number) : 0, dueAt);
  }

  /** Makes room for one that is ready, in place of one that is not. */
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

  /** Takes the first one of a key that is not known. Returns false when there is no memory for it. */
  function takeFirst(
    name: number | string,
    candidate: Candidate,
    more: boolean,
    now: number,
  ): boolean {
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

  /** Whether a key that is not known may have been passed, with one older than this. */
  const mayBeBlocked = (name: number | string, sweeping: boolean) =>
    strict && (sweeping ? blockedKeys.hasSwept : blockedKeys.has)(name as number);

  function addAhead(page: HeldPage, at: number, sweeping: boolean, now: number): boolean {
    const name = nameOf(page, at);
    const key = keys.get(name);
    if (key === undefined)
      return mayBeBlocked(name, sweeping) || takeFirst(name, candidateOf(page, at), false, now);
    if (key.unreadAfter !== null) return true;
    if (hasRoom(key)) queue(key, candidateOf(page, at));
    // There is one queued that it is after.
    else key.unreadAfter = (key.queue.at(-1) as Candidate).webhookId;
    return true;
  }

  /** Something behind the front: known, or committed late, or passed with its key. */
  function addBehind(page: HeldPage, at: number, sweeping: boolean, now: number): boolean {
    const name = nameOf(page, at);
    const key = keys.get(name);
    const candidate = candidateOf(page, at);
    const { webhookId } = candidate;
    if (endedSinceRead.has(webhookId)) return true;
    // What is between it and the front is not known.
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

  /** What a sweep has not come past is held no longer: it was cancelled, or has expired. */
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
    // One that was drained since it was read may lack what is before this page.
    const filled = new Set(
      [...drained].filter(({ unreadAfter }) => (unreadAfter as string) >= (read.after ?? '')),
    );
    /** Keys of which not all were taken. */
    const overfull = new Set<Key>();
    for (let at = 0; at < page.length; at++) {
      const key = keys.get(nameOf(page, at));
      if (key === undefined || !filled.has(key) || overfull.has(key)) continue;
      const candidate = candidateOf(page, at);
      // What is further on comes with the pages from the front.
      if (front === null || candidate.webhookId > front) break;
      // All of this key that was known has ended: what is held before that was committed late.
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
    // It may have to go back: so do clocks.
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
    next(limit, now, rank) {
      const chosen: string[] = [];
      const ready = Math.min(limit, keyTurns.ready(now));
      while (chosen.length < ready) {
        const key = keyTurns.next(rank) as Key;
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

/** Of ids, which compare as their text does; null is none. */
const lesser = (a: string, b: string) => (a < b ? a : b);
const greater = (a: string | null, b: string | null) =>
  a !== null && (b === null || a > b) ? a : b;
