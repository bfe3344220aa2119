import { mayTake } from './fair-share.ts';

/** More of one owner wait than may: the caller should come back later. */
export class TooManyTurnsError extends Error {
  override readonly name = 'TooManyTurnsError';
}

export interface TurnsOptions {
  /** What turns weigh together at most; a single one may weigh more. */
  readonly max: number;
  /** How many of one owner may wait. */
  readonly maxWaiting?: number;
}

export interface Turns {
  /**
   * Waits for a turn. Owners are let in one after the other, however many of one are waiting, and none has
   * all there is (fair-share.ts).
   *
   * @returns what ends the turn; calls after the first do nothing.
   * @throws TooManyTurnsError when too many of that owner wait.
   */
  take(owner: string, weight?: number): Promise<() => void>;
}

interface Waiting {
  readonly weight: number;
  readonly begin: (end: () => void) => void;
}

interface Line {
  running: number;
  weight: number;
  readonly waiting: Waiting[];
}

/** Lets owners, such as tenants, do a kind of work in turns, so that none of them takes it from others. */
export function createTurns({ max, maxWaiting = Number.POSITIVE_INFINITY }: TurnsOptions): Turns {
  /** Those whose turn is next come first. */
  const lines = new Map<string, Line>();
  let used = 0;

  function letIn(): void {
    for (const [owner, line] of lines) {
      if (used >= max) return;
      const [next] = line.waiting;
      if (next === undefined) continue;
      if (used > 0 && !mayTake(next.weight, line.weight, used, max)) continue;
      line.waiting.shift();
      used += next.weight;
      line.weight += next.weight;
      line.running += 1;
      // Behind all others, where this loop comes to it again.
      lines.delete(owner);
      lines.set(owner, line);
      next.begin(turnOf(owner, line, next.weight));
    }
  }

  function turnOf(owner: string, line: Line, weight: number): () => void {
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      used -= weight;
      line.weight -= weight;
      line.running -= 1;
      letIn();
      if (line.running === 0 && line.waiting.length === 0) lines.delete(owner);
    };
  }

  return {
    take(owner, weight = 1) {
      const line = lines.get(owner) ?? { running: 0, weight: 0, waiting: [] };
      if (line.waiting.length >= maxWaiting)
        return Promise.reject(new TooManyTurnsError(`${maxWaiting} are waiting already`));
      lines.set(owner, line);
      return new Promise((begin) => {
        line.waiting.push({ weight, begin });
        letIn();
      });
    },
  };
}
