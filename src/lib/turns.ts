/** More of one owner wait than may: the caller should come back later. */
export class TooManyTurnsError extends Error {
  override readonly name = 'TooManyTurnsError';
}

export interface TurnsOptions {
  /** How many turns there are at a time. */
  readonly concurrency: number;
  /** How many of these one owner may have; fewer, so that there is one left for others. */
  readonly perOwner: number;
  /** How many of one owner may wait. */
  readonly maxWaiting: number;
}

export interface Turns {
  /**
   * Waits for a turn. Owners are let in one after the other, however many of one are waiting.
   *
   * @returns what ends the turn; calls after the first do nothing.
   * @throws TooManyTurnsError when too many of that owner wait.
   */
  take(owner: string): Promise<() => void>;
}

interface Line {
  running: number;
  readonly waiting: (() => void)[];
}

/** Lets owners, such as tenants, do a kind of work in turns, so that none of them takes it from others. */
export function createTurns({ concurrency, perOwner, maxWaiting }: TurnsOptions): Turns {
  /** Those whose turn is next come first. */
  const lines = new Map<string, Line>();
  let running = 0;

  function letIn(): void {
    for (const [owner, line] of lines) {
      if (running === concurrency) return;
      const begin = line.running < perOwner ? line.waiting.shift() : undefined;
      if (begin === undefined) continue;
      running += 1;
      line.running += 1;
      // Behind all others, where this loop comes to it again.
      lines.delete(owner);
      lines.set(owner, line);
      begin();
    }
  }

  function turnOf(owner: string, line: Line): () => void {
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      running -= 1;
      line.running -= 1;
      letIn();
      if (line.running === 0 && line.waiting.length === 0) lines.delete(owner);
    };
  }

  return {
    take(owner) {
      const line = lines.get(owner) ?? { running: 0, waiting: [] };
      if (line.waiting.length >= maxWaiting)
        return Promise.reject(new TooManyTurnsError(`${maxWaiting} are waiting already`));
      lines.set(owner, line);
      return new Promise((resolve) => {
        line.waiting.push(() => resolve(turnOf(owner, line)));
        letIn();
      });
    },
  };
}
