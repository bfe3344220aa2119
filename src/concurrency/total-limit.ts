import { mayTake, shareOfOne } from '../lib/fair-share.ts';

/** Shares of the total for receivers that are not quick, and for those that have not answered yet. */
const SLOW_SHARE = 0.8;
const UNPROVEN_SHARE = 0.5;

/** What decides which share of the total a receiver may use. */
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
/**
 * Limits the requests in flight to all receivers together, and shares them out. A fifth is for receivers
 * that are known to be quick, so that slow ones, however many, never take the last place; receivers that
 * have never answered share at most half. A tenant leaves some of each share to others (lib/fair-share.ts): a
 * receiver that was quick until now may hang, and hold its places for minutes.
 */
export class TotalLimit {
  #max: number;
  readonly #all: Use = { ...NONE };
  /** The requests in flight of each tenant that has any. */
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

  /** The most requests that one tenant can have in flight. */
  get maxOfOne(): number {
    return shareOfOne(this.#max);
  }

  /** Changes the limit. Requests in flight stay. */
  resize(max: number): void {
    this.#max = max;
  }

  /** Returns whether a tenant may begin one more request to a receiver of this kind. */
  hasRoom(tenant: string, { quick, proven }: ReceiverKind): boolean {
    const { inFlight, slow, unproven } = this.#tenants.get(tenant) ?? NONE;
    if (!mayTake(1, inFlight, this.#all.inFlight, this.#max)) return false;
    if (quick) return true;
    if (!mayTake(1, slow, this.#all.slow, this.#max * SLOW_SHARE)) return false;
    return proven || mayTake(1, unproven, this.#all.unproven, this.#max * UNPROVEN_SHARE);
  }

  /** Counts a request, until `end` is called with the same arguments. */
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
