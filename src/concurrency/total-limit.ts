import { mayTake, shareOfOne } from '../lib/fair-share.ts';

/** Of all requests, what receivers may have that are not quick, and those that have not answered yet. */
const SLOW_SHARE = 0.8;
const UNPROVEN_SHARE = 0.5;

/** What is known of a receiver that a request goes to. */
export interface ReceiverKind {
  /** It answers quickly, and so holds its place for a short time only. */
  readonly quick: boolean;
  /** It has answered, and has not timed out several times in a row since. */
  readonly proven: boolean;
}

interface Use {
  inFlight: number;
  slow: number;
  unproven: number;
}

const NONE: Readonly<Use> = { inFlight: 0, slow: 0, unproven: 0 };

/**
 * How many requests there may be at once to all receivers together, and who may have them. A fifth is for
 * receivers that are known to be quick, so that slow ones, however many, never take the last place; and those
 * that have never answered share half at most. Of each, a tenant leaves some to others (lib/fair-share.ts): a
 * receiver that was quick until now may hang, and hold its places for minutes.
 */
export class TotalLimit {
  #max: number;
  readonly #all: Use = { ...NONE };
  /** Of tenants that have requests under way. */
  readonly #tenants = new Map<string, Use>();

  constructor(max: number) {
    this.#max = max;
  }

  get max(): number {
    return this.#max;
  }

  get inFlight(): number {
    return this.#all.inFlight;
  }

  /** What one tenant can have of them. */
  get maxOfOne(): number {
    return shareOfOne(this.#max);
  }

  /** Changes how many there may be. Those under way stay. */
  resize(max: number): void {
    this.#max = max;
  }

  /** Whether a tenant may begin one more request to such a receiver. */
  hasRoom(tenant: string, { quick, proven }: ReceiverKind): boolean {
    const { inFlight, slow, unproven } = this.#tenants.get(tenant) ?? NONE;
    if (!mayTake(1, inFlight, this.#all.inFlight, this.#max)) return false;
    if (quick) return true;
    if (!mayTake(1, slow, this.#all.slow, this.#max * SLOW_SHARE)) return false;
    return proven || mayTake(1, unproven, this.#all.unproven, this.#max * UNPROVEN_SHARE);
  }

  /** Counts a request, until `end` is called with the same. */
  begin(tenant: string, kind: ReceiverKind): void {
    this.#count(tenant, kind, 1);
  }

  end(tenant: string, kind: ReceiverKind): void {
    this.#count(tenant, kind, -1);
  }

  #count(tenant: string, { quick, proven }: ReceiverKind, change: 1 | -1): void {
    let own = this.#tenants.get(tenant);
    if (own === undefined) {
      own = { ...NONE };
      this.#tenants.set(tenant, own);
    }
    for (const use of [this.#all, own]) {
      use.inFlight += change;
      if (!quick) use.slow += change;
      if (!proven) use.unproven += change;
    }
    if (own.inFlight === 0) this.#tenants.delete(tenant);
  }
}
