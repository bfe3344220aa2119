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
export class ReceiverWindow {
  size = FIRST_WINDOW;
  /** The number of the present round. Each request remembers the round in which it was sent. */
  round = 0;
  #growing = true;
  /** It has settled on a size at least once. */
  #settled = false;
  /** The last round that brought a gain: its answers per millisecond, and the window it began with. */
  #rate = 0;
  #lastWorthwhile = FIRST_WINDOW;
  /** Rounds since then. */
  #roundsWithoutGain = 0;
  #roundFrom = FIRST_WINDOW;
  #roundAt = Number.NEGATIVE_INFINITY;
  #answers = 0;
  #retryMs = FIRST_RETRY_MS;
  #retryAt = 0;
  #halvedAt = Number.NEGATIVE_INFINITY;
  /** While half is tried: the window and rate before, and whether all earlier requests were answered. */
  #halved: { readonly from: number; readonly rate: number; flushed: boolean } | null = null;
  #triedLargerLast = false;
  #meanMs = Number.POSITIVE_INFINITY;

  /**
   * Counts an answer, also one that refuses.
   *
   * @param full the window was full when the answer came.
   * @param sentIn the round in which its request was sent.
   * @param meanMs the moving average of the receiver's answer times.
   * @param now milliseconds of a clock that only goes forward.
   */
  answered(full: boolean, sentIn: number, meanMs: number, now: number): void {
    this.#meanMs = meanMs;
    if (this.size < FIRST_WINDOW) {
      this.size += 1;
      this.#beginRound(now);
      return;
    }
    if (!full) {
      // This round did not prove that its growth brings a gain, so the growth is undone.
      if (this.#growing && this.#roundAt !== Number.NEGATIVE_INFINITY)
        this.size = Math.min(this.size, this.#roundFrom);
      this.#roundAt = Number.NEGATIVE_INFINITY;
      return;
    }
    if (this.#roundAt === Number.NEGATIVE_INFINITY) {
      this.#beginRound(now);
      return;
    }
    this.#answers += 1;
    if (this.#growing && this.#roundsWithoutGain === 0 && this.size < 2 * this.#roundFrom)
      this.size += 1;
    const elapsedMs = now - this.#roundAt;
    if (sentIn !== this.round || elapsedMs < MIN_ROUND_MS) return;
    this.#judge(this.#answers / elapsedMs, now);
    this.#beginRound(now);
  }

  /** Halves the window. Requests that were sent together time out together, which counts once. */
  timedOut(now: number): void {
    if (now - this.#halvedAt <= HALVE_EVERY_MS) return;
    this.#halvedAt = now;
    this.#settle(Math.max(1, this.size >> 1), now);
  }

  /** Starts again with one request, then two, then four, as the receiver answers. */
  restart(): void {
    this.size = 1;
    this.#growing = true;
    this.#settled = false;
    this.#rate = 0;
    this.#roundsWithoutGain = 0;
    this.#retryMs = FIRST_RETRY_MS;
    this.#roundAt = Number.NEGATIVE_INFINITY;
    this.#halved = null;
  }

  #beginRound(now: number): void {
    this.round += 1;
    this.#roundFrom = this.size;
    this.#roundAt = now;
    this.#answers = 0;
  }

  #judge(rate: number, now: number): void {
    if (this.#halved !== null) {
      this.#judgeHalf(this.#halved, rate, now);
      return;
    }
    if (!this.#growing) {
      this.#rate = rate;
      this.#lastWorthwhile = Math.ceil(this.size / 2);
      if (now < this.#retryAt) return;
      this.#roundsWithoutGain = 0;
      this.#triedLargerLast = !this.#triedLargerLast || this.size === FIRST_WINDOW;
      if (this.#triedLargerLast) {
        this.#growing = true;
      } else {
        this.#halved = { from: this.size, rate, flushed: false };
        this.size = Math.max(FIRST_WINDOW, this.size >> 1);
      }
      return;
    }
    if (rate >= this.#rate * WORTHWHILE_GAIN || this.#answersAtOnce()) {
      this.#rate = rate;
      this.#lastWorthwhile = this.#roundFrom;
      this.#roundsWithoutGain = 0;
      this.#retryMs = FIRST_RETRY_MS;
      return;
    }
    this.#roundsWithoutGain += 1;
    // Before it has settled once, one round without gain may be chance: measure it again.
    if (this.#roundsWithoutGain < (this.#settled ? 1 : 2)) return;
    this.#settle(Math.max(FIRST_WINDOW, Math.min(this.size, 2 * this.#lastWorthwhile)), now);
  }

  #judgeHalf(
    half: { from: number; rate: number; flushed: boolean },
    rate: number,
    now: number,
  ): void {
    if (!half.flushed) {
      half.flushed = true;
      return;
    }
    if (rate * WORTHWHILE_GAIN < half.rate || this.#answersAtOnce()) {
      this.#settle(half.from, now);
      return;
    }
    // Halving cost no throughput; try a smaller window again soon.
    this.#retryMs = FIRST_RETRY_MS;
    this.#triedLargerLast = true;
    this.#settle(this.size, now);
  }

  #answersAtOnce(): boolean {
    return this.#meanMs < NO_QUEUE_MS && this.#roundFrom <= ENOUGH_FOR_QUICK;
  }

  #settle(size: number, now: number): void {
    this.size = size;
    this.#halved = null;
    this.#growing = false;
    this.#settled = true;
    this.#retryAt = now + this.#retryMs;
    this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * 2);
    this.#roundAt = Number.NEGATIVE_INFINITY;
  }
}
