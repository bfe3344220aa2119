import { BOUNDS, createKeyQueues, type SendOrderBounds } from './key-queues.ts';
import type { Candidate, Key } from './key-turns.ts';

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

/** A due time that was read again differs by less, unless it was moved. */
const CLOCK_STEP_MS = 1_000;

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
  const queues = createKeyQueues(strict, bounds);
  const { drained, blockedKeys } = queues;
  /** Deliveries whose attempts ended since the read under way began: its page has their earlier state. */
  const settledSinceRead = new Set<string>();
  let read: { kind: ReadKind; after: string | null } = { kind: 'ahead', after: null };
  /** The last id read: deliveries up to it are known, or were skipped, or were committed late. */
  let front: string | null = null;
  /** No delivery up to this id can be committed late any more. */
  let settledTo: string | null = null;
  /** The last id of the sweep under way, and the number of sweeps so far. */
  let sweptTo: string | null | undefined;
  let sweeps = 0;

  const nameOf = (page: HeldPage, at: number) => (strict ? page.keyOf(at) : page.webhookIdOf(at));

  const candidateOf = (page: HeldPage, at: number): Candidate => ({
    webhookId: page.webhookIdOf(at),
    dueAt: page.dueAtOf(at),
    seenInSweep: sweeps,
  });

  function addAhead(page: HeldPage, at: number, sweeping: boolean, now: number): boolean {
    const name = nameOf(page, at);
    const key = queues.get(name);
    if (key === undefined) {
      if (queues.mayBeBlocked(name, sweeping)) return true;
      return queues.addKey(name, candidateOf(page, at), false, now);
    }
    if (key.unreadAfter === null && !queues.append(key, candidateOf(page, at)))
      key.unreadAfter = (key.queue.at(-1) as Candidate).webhookId;
    return true;
  }

  /** Adds a delivery behind the front: known, or committed late, or skipped with its key. */
  function addBehind(page: HeldPage, at: number, sweeping: boolean, now: number): boolean {
    const name = nameOf(page, at);
    const key = queues.get(name);
    const candidate = candidateOf(page, at);
    const { webhookId } = candidate;
    if (settledSinceRead.has(webhookId)) return true;
    // A new key: its deliveries between this one and the front are not known.
    if (key === undefined)
      return queues.mayBeBlocked(name, sweeping) || queues.addKey(name, candidate, strict, now);
    if (key.unreadAfter !== null && webhookId > key.unreadAfter) return true;
    if (key.inFlight === webhookId) return true;
    const known = key.queue.find((other) => other.webhookId === webhookId);
    if (known === undefined) {
      queues.insert(key, candidate);
      return true;
    }
    known.seenInSweep = sweeps;
    // The database's clock went back, and maintenance/clock.ts moved its due time.
    if (candidate.dueAt < known.dueAt - CLOCK_STEP_MS) queues.setDue(key, known, candidate.dueAt);
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
      const key = queues.get(nameOf(page, at));
      if (key === undefined || !filled.has(key) || overfull.has(key)) continue;
      const candidate = candidateOf(page, at);
      // Deliveries after the front come with `ahead` pages.
      if (front === null || candidate.webhookId > front) break;
      // All known deliveries of this key have ended: one before them was committed late.
      if (settledSinceRead.has(candidate.webhookId)) continue;
      if (queues.append(key, candidate)) key.unreadAfter = candidate.webhookId;
      else overfull.add(key);
    }
    for (const key of filled) {
      if (overfull.has(key)) continue;
      queues.setUnread(key, reached ? null : greater(key.unreadAfter, last));
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
        // They were cancelled, or have expired.
        queues.forgetUnseen(sweeps);
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
    isFull: queues.isFull,
    ready: queues.ready,
    get inFlight() {
      return queues.inFlight;
    },
    next: queues.take,
    settled(webhookId, dueAt) {
      const again = dueAt === null ? null : { webhookId, dueAt, seenInSweep: sweeps };
      if (queues.settle(webhookId, again)) settledSinceRead.add(webhookId);
    },
    beginRead(kind, exact = false) {
      settledSinceRead.clear();
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
      return queues.dueAt;
    },
  };
}

/** Ids compare as their text does; null is none. */
const lesser = (a: string, b: string) => (a < b ? a : b);
const greater = (a: string | null, b: string | null) =>
  a !== null && (b === null || a > b) ? a : b;
