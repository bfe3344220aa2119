import { mayTake, mostToTake, shareOfOne } from '../lib/fair-share.ts';

/** Shares of the total for receivers that are not quick, and for those that have not answered yet. */
const SLOW_SHARE = 0.8;
const UNPROVEN_SHARE = 0.5;

/** The properties of a receiver that decide which share of the total it may use. */
export interface ReceiverKind {
  /** It answers quickly, and so holds its place for a short time only. */
  readonly quick: boolean;
  /** It has answered, and has not timed out several times in a row since. */
  readonly proven: boolean;
}

/** Requests in flight and the bytes of their bodies: of all receivers, of slow and of unproven ones. */
interface Use {
  requests: number;
  bytes: number;
  slow: number;
  slowBytes: number;
  unproven: number;
  unprovenBytes: number;
}

const NONE: Readonly<Use> = {
  requests: 0,
  bytes: 0,
  slow: 0,
  slowBytes: 0,
  unproven: 0,
  unprovenBytes: 0,
};

/**
 * Limits the requests in flight to all receivers together, and the bytes of their bodies, and shares both
 * out. A fifth is for receivers that are known to be quick, so that slow ones, however many, never take the
 * last place; receivers that have never answered share at most half. A tenant leaves some of each share to
 * others (lib/fair-share.ts): a receiver that was quick until now may hang, and hold its places for minutes.
 */
export interface TotalLimit {
  readonly max: number;
  /** The requests in flight. */
  readonly inFlight: number;
  /** The most requests that one tenant can have in flight. */
  readonly maxOfOne: number;
  /** Changes the limit of requests. Requests in flight stay. */
  resize(max: number): void;
  /** Returns whether a tenant may begin one more request, with that many bytes, to a receiver of this kind. */
  hasRoom(tenant: string, kind: ReceiverKind, bytes: number): boolean;
  /** Returns how many requests a tenant may begin to a receiver of this kind, if their bodies are small. */
  roomFor(tenant: string, kind: ReceiverKind): number;
  /** Counts a request, until `end` is called with the same arguments. */
  begin(tenant: string, kind: ReceiverKind, bytes: number): void;
  end(tenant: string, kind: ReceiverKind, bytes: number): void;
}

export function createTotalLimit(maxRequests: number, maxBytes: number): TotalLimit {
  let max = maxRequests;
  const all: Use = { ...NONE };
  /** The use of each tenant that has any. */
  const tenants = new Map<string, Use>();

  function count(tenant: string, kind: ReceiverKind, change: 1 | -1, bytes: number): void {
    let own = tenants.get(tenant);
    if (own === undefined) {
      own = { ...NONE };
      tenants.set(tenant, own);
    }
    add(all, kind, change, bytes);
    add(own, kind, change, bytes);
    if (own.requests === 0) tenants.delete(tenant);
  }

  function hasBytes(own: Readonly<Use>, { quick, proven }: ReceiverKind, bytes: number): boolean {
    if (!mayTake(bytes, own.bytes, all.bytes, maxBytes)) return false;
    if (quick) return true;
    if (!mayTake(bytes, own.slowBytes, all.slowBytes, maxBytes * SLOW_SHARE)) return false;
    return (
      proven || mayTake(bytes, own.unprovenBytes, all.unprovenBytes, maxBytes * UNPROVEN_SHARE)
    );
  }

  return {
    get max() {
      return max;
    },
    get inFlight() {
      return all.requests;
    },
    get maxOfOne() {
      return shareOfOne(max);
    },
    resize(newMax) {
      max = newMax;
    },
    hasRoom(tenant, kind, bytes) {
      const own = tenants.get(tenant) ?? NONE;
      if (!mayTake(1, own.requests, all.requests, max)) return false;
      if (!kind.quick) {
        if (!mayTake(1, own.slow, all.slow, max * SLOW_SHARE)) return false;
        if (!kind.proven && !mayTake(1, own.unproven, all.unproven, max * UNPROVEN_SHARE))
          return false;
      }
      return bytes === 0 || hasBytes(own, kind, bytes);
    },
    roomFor(tenant, { quick, proven }) {
      const own = tenants.get(tenant) ?? NONE;
      const room = mostToTake(own.requests, all.requests, max);
      if (quick) return room;
      const slow = Math.min(room, mostToTake(own.slow, all.slow, max * SLOW_SHARE));
      if (proven) return slow;
      return Math.min(slow, mostToTake(own.unproven, all.unproven, max * UNPROVEN_SHARE));
    },
    begin: (tenant, kind, bytes) => count(tenant, kind, 1, bytes),
    end: (tenant, kind, bytes) => count(tenant, kind, -1, -bytes),
  };
}

function add(use: Use, { quick, proven }: ReceiverKind, requests: number, bytes: number): void {
  use.requests += requests;
  use.bytes += bytes;
  if (!quick) {
    use.slow += requests;
    use.slowBytes += bytes;
  }
  if (!proven) {
    use.unproven += requests;
    use.unprovenBytes += bytes;
  }
}
