/** The window of a receiver that has not answered yet. */
export const FIRST_WINDOW = 10;
/** Twice the requests must bring at least this factor of answers, or they only queue at the receiver. */
const WORTHWHILE_GAIN = 1.25;
/**
 * While answers come within this time no queue forms at the receiver. The bound may be this process,
 * and more requests at once cost it less each: *measured*, 150 instead of 20 take a tenth less of its CPU.
 * Up to that many need not bring more answers.
 */
const NO_QUEUE_MS = 10;
const ENOUGH_FOR_QUICK = 150;
/** A shorter round measures our event loop rather than the receiver. */
const MIN_ROUND_MS = 25;
/** Pause before another size is tried; doubled each time that it brought no gain. */
const FIRST_RETRY_MS = 2_000;
const LAST_RETRY_MS = 60_000;
/** A window is halved at most once in this time. */
const HALVE_EVERY_MS = 1_000;

/**
 * The adaptive limit of a receiver's requests in flight.
 *
 * It doubles from round to round while more requests bring more answers, and goes back when they do
 * not: a receiver that handles one request after the other would only get a queue, which grows until
 * all requests in it time out. While answers come at once there is no such queue, and the window
 * doubles until there are enough requests to fill this process. A larger window and half of the window
 * are tried again in turn, now and then: where half brings as many answers, the larger size suited a
 * moment that is over. A round lasts until a request that was sent in it is answered, and counts if the window was
 * always full. (BBR finds the capacity of a path in this way: draft-ietf-ccwg-bbr, 5.3.1.)
 */
export interface ReceiverWindow {
  size: number;
  /** The number of the present round. Each request remembers the round in which it was sent. */
  round: number;
  growing: boolean;
  /** It has settled on a size at least once. */
  settled: boolean;
  /** The last round that brought a gain: its answers per millisecond, and the window it began with. */
  rate: number;
  lastWorthwhile: number;
  /** Rounds since then. */
  roundsWithoutGain: number;
  roundFrom: number;
  roundAt: number;
  answers: number;
  retryMs: number;
  retryAt: number;
  halvedAt: number;
  /** While half is tried: the window and rate before, and whether all earlier requests were answered. */
  halved: { readonly from: number; readonly rate: number; flushed: boolean } | null;
  triedLargerLast: boolean;
  meanMs: number;
}

export function createReceiverWindow(): ReceiverWindow {
  return {
    size: FIRST_WINDOW,
    round: 0,
    growing: true,
    settled: false,
    rate: 0,
    lastWorthwhile: FIRST_WINDOW,
    roundsWithoutGain: 0,
    roundFrom: FIRST_WINDOW,
    roundAt: Number.NEGATIVE_INFINITY,
    answers: 0,
    retryMs: FIRST_RETRY_MS,
    retryAt: 0,
    halvedAt: Number.NEGATIVE_INFINITY,
    halved: null,
    triedLargerLast: false,
    meanMs: Number.POSITIVE_INFINITY,
  };
}

/**
 * Counts an answer, also one that refuses.
 *
 * @param full the window was full when the answer came.
 * @param sentIn the round in which its request was sent.
 * @param meanMs the moving average of the receiver's answer times.
 * @param now milliseconds of a clock that only goes forward.
 */
export function countAnswer(
  window: ReceiverWindow,
  full: boolean,
  sentIn: number,
  meanMs: number,
  now: number,
): void {
  window.meanMs = meanMs;
  if (window.size < FIRST_WINDOW) {
    window.size += 1;
    beginRound(window, now);
    return;
  }
  if (!full) {
    // This round did not prove that its growth brings a gain, so the growth is undone.
    if (window.growing && window.roundAt !== Number.NEGATIVE_INFINITY)
      window.size = Math.min(window.size, window.roundFrom);
    window.roundAt = Number.NEGATIVE_INFINITY;
    return;
  }
  if (window.roundAt === Number.NEGATIVE_INFINITY) {
    beginRound(window, now);
    return;
  }
  window.answers += 1;
  if (window.growing && window.roundsWithoutGain === 0 && window.size < 2 * window.roundFrom)
    window.size += 1;
  const elapsedMs = now - window.roundAt;
  if (sentIn !== window.round || elapsedMs < MIN_ROUND_MS) return;
  judge(window, window.answers / elapsedMs, now);
  beginRound(window, now);
}

/** Halves the window. Requests that were sent together time out together, which counts once. */
export function countTimeout(window: ReceiverWindow, now: number): void {
  if (now - window.halvedAt <= HALVE_EVERY_MS) return;
  window.halvedAt = now;
  settle(window, Math.max(1, window.size >> 1), now);
}

/** Starts again with one request, then two, then four, as the receiver answers. */
export function restart(window: ReceiverWindow): void {
  window.size = 1;
  window.growing = true;
  window.settled = false;
  window.rate = 0;
  window.roundsWithoutGain = 0;
  window.retryMs = FIRST_RETRY_MS;
  window.roundAt = Number.NEGATIVE_INFINITY;
  window.halved = null;
}

function beginRound(window: ReceiverWindow, now: number): void {
  window.round += 1;
  window.roundFrom = window.size;
  window.roundAt = now;
  window.answers = 0;
}

function judge(window: ReceiverWindow, rate: number, now: number): void {
  if (window.halved !== null) {
    judgeHalf(window, window.halved, rate, now);
    return;
  }
  if (!window.growing) {
    window.rate = rate;
    window.lastWorthwhile = Math.ceil(window.size / 2);
    if (now < window.retryAt) return;
    window.roundsWithoutGain = 0;
    window.triedLargerLast = !window.triedLargerLast || window.size === FIRST_WINDOW;
    if (window.triedLargerLast) {
      window.growing = true;
    } else {
      window.halved = { from: window.size, rate, flushed: false };
      window.size = Math.max(FIRST_WINDOW, window.size >> 1);
    }
    return;
  }
  if (rate >= window.rate * WORTHWHILE_GAIN || answersAtOnce(window)) {
    window.rate = rate;
    window.lastWorthwhile = window.roundFrom;
    window.roundsWithoutGain = 0;
    window.retryMs = FIRST_RETRY_MS;
    return;
  }
  window.roundsWithoutGain += 1;
  // Before it has settled once, one round without gain may be chance: measure it again.
  if (window.roundsWithoutGain < (window.settled ? 1 : 2)) return;
  settle(window, Math.max(FIRST_WINDOW, Math.min(window.size, 2 * window.lastWorthwhile)), now);
}

function judgeHalf(
  window: ReceiverWindow,
  half: { from: number; rate: number; flushed: boolean },
  rate: number,
  now: number,
): void {
  if (!half.flushed) {
    half.flushed = true;
    return;
  }
  if (rate * WORTHWHILE_GAIN < half.rate || answersAtOnce(window)) {
    settle(window, half.from, now);
    return;
  }
  // Halving cost no throughput; try a smaller window again soon.
  window.retryMs = FIRST_RETRY_MS;
  window.triedLargerLast = true;
  settle(window, window.size, now);
}

function answersAtOnce(window: ReceiverWindow): boolean {
  return window.meanMs < NO_QUEUE_MS && window.roundFrom <= ENOUGH_FOR_QUICK;
}

function settle(window: ReceiverWindow, size: number, now: number): void {
  window.size = size;
  window.halved = null;
  window.growing = false;
  window.settled = true;
  window.retryAt = now + window.retryMs;
  window.retryMs = Math.min(LAST_RETRY_MS, window.retryMs * 2);
  window.roundAt = Number.NEGATIVE_INFINITY;
}
