import { mayTake } from './fair-share.ts';

interface TurnsOptions {
  /** The largest total weight of turns; a single turn may weigh more. */
  readonly max: number;
}

export interface Turns {
  /**
   * Waits for a turn. Owners get turns one after another, however many calls each of them has waiting, and no owner
   * can take everything (fair-share.ts).
   *
   * @returns a function that ends the turn; calling it again does nothing.
   */
  take(owner: string, weight?: number): Promise<() => void>;
  /** As `take`, but before the owner's other waiting calls: for going on with work that has begun. */
  takeNext(owner: string): Promise<() => void>;
  /** The number of waiting calls of an owner. */
  waiting(owner: string): number;
}

interface Waiting {
  readonly weight: number;
  readonly begin: (end: () => void) => void;
}

interface OwnerTurns {
  running: number;
  weight: number;
  readonly waiting: Waiting[];
}

/** Gives owners, such as tenants, turns for a kind of work, so that none keeps the others from it. */
export function createTurns({ max }: TurnsOptions): Turns {
  /** In the order of the owners' turns. */
  const owners = new Map<string, OwnerTurns>();
  let used = 0;

  function startWaiting(): void {
    for (const [owner, ownerTurns] of owners) {
      if (used >= max) return;
      const [next] = ownerTurns.waiting;
      if (next === undefined) continue;
      if (used > 0 && !mayTake(next.weight, ownerTurns.weight, used, max)) continue;
      ownerTurns.waiting.shift();
      used += next.weight;
      ownerTurns.weight += next.weight;
      ownerTurns.running += 1;
      // To the end, where this loop reaches it again after all others.
      owners.delete(owner);
      owners.set(owner, ownerTurns);
      next.begin(turnOf(owner, ownerTurns, next.weight));
    }
  }

  function turnOf(owner: string, ownerTurns: OwnerTurns, weight: number): () => void {
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      used -= weight;
      ownerTurns.weight -= weight;
      ownerTurns.running -= 1;
      startWaiting();
      if (ownerTurns.running === 0 && ownerTurns.waiting.length === 0) owners.delete(owner);
    };
  }

  function wait(owner: string, weight: number, add: 'push' | 'unshift'): Promise<() => void> {
    const ownerTurns = owners.get(owner) ?? { running: 0, weight: 0, waiting: [] };
    owners.set(owner, ownerTurns);
    return new Promise((begin) => {
      ownerTurns.waiting[add]({ weight, begin });
      startWaiting();
    });
  }

  return {
    take: (owner, weight = 1) => wait(owner, weight, 'push'),
    takeNext: (owner) => wait(owner, 1, 'unshift'),
    waiting: (owner) => owners.get(owner)?.waiting.length ?? 0,
  };
}
