import { mayTake } from './fair-share.ts';

/** Too many calls of one owner wait: the caller should try again later. */
export class TooManyTurnsError extends Error {
  override readonly name = 'TooManyTurnsError';
}

interface TurnsOptions {
  /** The largest total weight of turns; a single turn may weigh more. */
  readonly max: number;
  /** The most waiting calls of one owner. */
  readonly maxWaiting?: number;
}

export interface Turns {
  /**
   * Waits for a turn. Owners get turns one after another, however many calls of one owner wait, and no owner
   * can take everything (fair-share.ts).
   *
   * @returns a function that ends the turn; calling it again does nothing.
   * @throws TooManyTurnsError when too many calls of that owner wait.
   */
  take(owner: string, weight?: number): Promise<() => void>;
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
export function createTurns({ max, maxWaiting = Number.POSITIVE_INFINITY }: TurnsOptions): Turns {
  /** In the order of the owners' turns. */
  const owners = new Map<string, OwnerTurns>();
  let used = 0;

  function letIn(): void {
    for (const [owner, line] of owners) {
      if (used >= max) return;
      const [next] = line.waiting;
      if (next === undefined) continue;
      if (used > 0 && !mayTake(next.weight, line.weight, used, max)) continue;
      line.waiting.shift();
      used += next.weight;
      line.weight += next.weight;
      line.running += 1;
      // To the end, where this loop reaches it again after all others.
      owners.delete(owner);
      owners.set(owner, line);
      next.begin(turnOf(owner, line, next.weight));
    }
  }

  function turnOf(owner: string, line: OwnerTurns, weight: number): () => void {
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      used -= weight;
      line.weight -= weight;
      line.running -= 1;
      letIn();
      if (line.running === 0 && line.waiting.length === 0) owners.delete(owner);
    };
  }

  return {
    take(owner, weight = 1) {
      const line = owners.get(owner) ?? { running: 0, weight: 0, waiting: [] };
      if (line.waiting.length >= maxWaiting)
        return Promise.reject(
          new TooManyTurnsError(`${maxWaiting} calls of this owner are waiting already`),
        );
      owners.set(owner, line);
      return new Promise((begin) => {
        line.waiting.push({ weight, begin });
        letIn();
      });
    },
  };
}
