/** Requests that a receiver is given at once before anything is known of it. */
export const FIRST_WINDOW = 10;
/** A round with twice the requests has to bring in so many more answers, or they only wait in line. */
const WORTHWHILE_GAIN = 1.25;
/**
 * While answers come within this time there is no line to speak of. What bounds them may be this process,
 * and more requests at once cost it less each: *measured*, 150 instead of 20 take a tenth less of its CPU.
 * What is more than that has to bring more answers.
 */
const NO_QUEUE_MS = 10;
const ENOUGH_FOR_QUICK = 150;
/** A shorter round says more of our event loop than of the receiver. */
const MIN_ROUND_MS = 25;
/** Until more is tried again: longer each time that it was no use. */
const FIRST_RETRY_MS = 2_000;
const LAST_RETRY_MS = 60_000;
/** A window is halved once in this time at most. */
const HALVE_EVERY_MS = 1_000;

/**
 * How many requests a receiver may have at once: what it makes use of.
 *
 * It doubles from round to round as long as more requests bring more answers, and goes back when they
 * do not: a receiver that does one thing after the other would only have a line of ours in front of
 * it, which gets longer until all in it time out. While answers come at once there is no such line, and
 * it doubles until there are enough to fill this process. More is tried again now and then, and in turn with
 * that half of it: where that brings as many answers, the rest was of a moment that is over. A round lasts
 * until a request is answered that was sent in it, and counts if there were always as many under way
 * as there may be. (So BBR finds out what a path can carry: draft-ietf-ccwg-bbr, 5.3.1.)
 */
export class ReceiverWindow {
  size = FIRST_WINDOW;
  /** Which round it is: each request is asked, when it is answered, in which it was sent. */
  round = 0;
  #growing = true;
  /** Whether it has been found out once what the receiver makes use of. */
  #settled = false;
  /** The last round that was worth it: its answers a millisecond, and the window it began with. */
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
  /** What it was before half of it was tried; and whether what was sent before that has been answered. */
  #halved: { readonly from: number; readonly rate: number; flushed: boolean } | null = null;
  #triedLargerLast = false;
  #meanMs = Number.POSITIVE_INFINITY;

  /**
   * An answer came, whatever it says.
   *
   * @param full whether as many requests were under way as there may be.
   * @param sentIn the round in which its request was sent.
   * @param meanMs how long its answers take of late.
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
      // What a round that is broken off has added was not found to be worth it, and is not used.
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

  /** Requests that were sent together time out together: that is one sign, not many. */
  timedOut(now: number): void {
    if (now - this.#halvedAt <= HALVE_EVERY_MS) return;
    this.#halvedAt = now;
    this.#settle(Math.max(1, this.size >> 1), now);
  }

  /** One request, then two, then four, as the receiver answers. */
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
    // The first time, one round may have been somebody else's; it is looked at again, with no more.
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
    // There may be more of that.
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
