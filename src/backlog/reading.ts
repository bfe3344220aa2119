import { createSendOrder, type HeldPage, type ReadKind, type SendOrder } from './send-order.ts';

/** Rows that a round reads of a backlog: ids, without bodies. */
const MAX_PAGE = 1_000;
const MIN_PAGE = 100;
/** Rows of a page that is read outside of the rounds, since nothing on the last page may be sent. */
const LONG_PAGE = 20_000;
/** Sweeps of a long backlog take at most this share of the time. */
const SWEEP_SHARE = 0.05;

/** The cost of reading a backlog from its beginning to its end. */
interface Pass {
  rows: number;
  ms: number;
  readonly at: number;
}

/**
 * How far a backlog has been read, and what is known of it. It is begun again when the subscription's
 * order changes, and after its circuit was open.
 */
export interface Reading {
  readonly strict: boolean;
  readonly sendOrder: SendOrder;
  /** There may be deliveries after the last page that was read. */
  moreAhead: boolean;
  /** It has to be read again from the beginning: transactions do not commit in the order of their ids. */
  sweepWanted: boolean;
  /** Counts notifications: a delivery that is held while a page is read is not on that page. */
  noticed: number;
  /**
   * Long pages are read, since nothing on the last page of this kind may be sent, until something may.
   * They are read outside of the rounds: `underWay` until the page is taken.
   */
  long: { readonly kind: ReadKind; readonly underWay: boolean } | null;
  lastKind: ReadKind | null;
  /** When the sweep under way reads its next page. */
  nextSweepPageAt: number;
  /** Pages in a row that ended before the place from which reading was to go on. */
  stuckPages: number;
  /** The cost of the last complete read, and of the sweep under way. */
  pass: Pass;
  sweep: Pass;
}

export function createReading(strict: boolean, now: number): Reading {
  return {
    strict,
    sendOrder: createSendOrder(strict),
    moreAhead: true,
    sweepWanted: false,
    noticed: 0,
    long: null,
    lastKind: null,
    nextSweepPageAt: 0,
    stuckPages: 0,
    pass: beginPass(now),
    sweep: beginPass(now),
  };
}

const beginPass = (at: number): Pass => ({ rows: 0, ms: 0, at });

/** Deliveries were held: before or after the last page that was read. */
export function noticeHeld(reading: Reading): void {
  reading.moreAhead = true;
  reading.sweepWanted = true;
  reading.noticed += 1;
}

/** A page to read. */
export interface PageRequest {
  readonly kind: ReadKind;
  readonly most: number;
}

/**
 * Chooses the page to read: first the next delivery of a key that has none queued, last a sweep. Where
 * that delivery is far away, the other kinds get every second page.
 *
 * @param room how many deliveries the backlog may send now.
 * @returns null when reading finds nothing more to send.
 */
export function nextPage(reading: Reading, room: number, now: number): PageRequest | null {
  const kind = nextKind(reading, now);
  if (kind === null) return null;
  if (reading.long?.kind === kind) return { kind, most: LONG_PAGE };
  return {
    kind,
    most: reading.strict ? MAX_PAGE : Math.min(MAX_PAGE, Math.max(MIN_PAGE, 2 * room)),
  };
}

function nextKind(reading: Reading, now: number): ReadKind | null {
  const { sendOrder, long, lastKind } = reading;
  const maySweep = sweepInMs(reading, now) === 0;
  const short = reading.pass.rows <= MAX_PAGE;
  const mayGoOn = reading.moreAhead && !sendOrder.isFull(now);
  const waits = long?.kind === 'fill' && lastKind === 'fill' && (maySweep || mayGoOn);
  if (sendOrder.wantsFill && !waits) return 'fill';
  if (maySweep && short) return 'sweep';
  if (mayGoOn) return 'ahead';
  return maySweep ? 'sweep' : null;
}

/** A page that is being read. */
export interface PageRead extends PageRequest {
  /** The id after which the page begins; null: the oldest. */
  readonly after: string | null;
  /** Where its new deliveries begin. */
  readonly place: string | null;
  /** The reading's `noticed` when the read began. */
  readonly noticed: number;
}

/** Begins to read a page, which is passed to `takePage` before the next read begins. */
export function beginPage(reading: Reading, request: PageRequest): PageRead {
  const { kind } = request;
  if (kind === 'sweep' && !reading.sendOrder.isSweeping) {
    reading.sweepWanted = false;
    reading.sweep = beginPass(performance.now());
  }
  // So much was accepted in the last seconds that a long page ends before `place`.
  const exact = !reading.strict || reading.stuckPages >= 2;
  reading.lastKind = kind;
  return { ...request, ...reading.sendOrder.beginRead(kind, exact), noticed: reading.noticed };
}

/** @param ms how long reading the page took. */
export function takePage(
  reading: Reading,
  { kind, most, place, noticed }: PageRead,
  page: HeldPage,
  ms: number,
): void {
  const { sendOrder } = reading;
  const now = performance.now();
  const full = page.length === most;
  const all = sendOrder.take(page, full, now) === page.length;
  if (kind !== 'fill') {
    const pass = kind === 'sweep' ? reading.sweep : reading.pass;
    pass.rows += page.length;
    pass.ms += ms;
    if (kind === 'sweep' && !sendOrder.isSweeping) reading.pass = pass;
    // A delivery may have been held since the page was read.
    if (kind === 'ahead' || !sendOrder.isSweeping)
      reading.moreAhead = full || !all || reading.noticed !== noticed;
  }
  const behind = full && all && page.webhookIdOf(page.length - 1) <= (place ?? '');
  reading.stuckPages = behind ? reading.stuckPages + 1 : 0;
  if (reading.strict && full && (behind || sendOrder.ready(now) === 0))
    reading.long = { kind, underWay: false };
  else if (reading.long?.kind === kind) reading.long = null;
}

/** Returns whether reading on may find more to send. */
export function canReadOn({ sendOrder, moreAhead, long }: Reading, now: number): boolean {
  if (long?.underWay) return false;
  return sendOrder.wantsFill || (moreAhead && !sendOrder.isFull(now));
}

/**
 * Returns how long until the backlog may be read again from its beginning: no time at all if it is
 * short. A long one is swept seldom, and only after its end was reached: a sweep finds only
 * deliveries that were committed late, made owed again, or skipped for want of memory.
 */
export function sweepInMs(reading: Reading, now: number): number {
  const { strict, moreAhead, sweepWanted, sendOrder, pass } = reading;
  if (sendOrder.isFull(now)) return Number.POSITIVE_INFINITY;
  if (sendOrder.isSweeping) return Math.max(0, reading.nextSweepPageAt - now);
  const wantedInMs = sweepWanted ? 0 : Math.max(0, sendOrder.sweepAt - now);
  if (!strict || pass.rows <= MAX_PAGE) return wantedInMs;
  if (moreAhead) return Number.POSITIVE_INFINITY;
  return Math.max(wantedInMs, pass.ms / SWEEP_SHARE - (now - pass.at));
}
