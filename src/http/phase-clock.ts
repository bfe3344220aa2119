/** The phases of a request, in their order. */
const PHASES = ['dns', 'connect', 'tls', 'firstByte', 'body'] as const;
export type Phase = (typeof PHASES)[number];

/**
 * How long each phase of a request took, in milliseconds. Null: the request had no such phase, or ended before it. The
 * phase in which a request ended has the time until its end, so that all together are the duration of the request.
 */
export interface PhaseTimes {
  /** Resolving the name. An address needs none. */
  readonly dns: number | null;
  /** Until TCP was connected; through an egress proxy, until all of the connection was. */
  readonly connect: number | null;
  readonly tls: number | null;
  /** From the open connection until the head of the answer had come: sending the request is part of it. */
  readonly firstByte: number | null;
  /** From there until the answer had been read. */
  readonly body: number | null;
}

export interface PhaseClock {
  /** Ends the phase before, and begins this one. The first one began with the clock. */
  enter(phase: Phase): void;
  /** Forgets the phases: the request begins again, on a new connection. Its first phase has the time that was lost. */
  restart(): void;
  /** Milliseconds since the clock was created. */
  elapsed(): number;
  /**
   * Returns the phases of a request that took so long.
   *
   * @param unit to which times are rounded, in milliseconds. The sum of all phases is not rounded again.
   */
  read(durationMs: number, unit?: number): PhaseTimes;
}

/** Creates a clock that tells the phases of one request. In most requests, on a kept connection, it reads the time once. */
export function createPhaseClock(): PhaseClock {
  const startedAt = performance.now();
  let entered: Partial<Record<Phase, number>> = {};
  let begun = false;
  return {
    enter(phase) {
      entered[phase] = begun ? performance.now() - startedAt : 0;
      begun = true;
    },
    restart() {
      entered = {};
      begun = false;
    },
    elapsed: () => performance.now() - startedAt,
    read(durationMs, unit = 1) {
      const rounded = (ms: number) => Math.round(Math.min(ms, durationMs) / unit);
      const times: Record<Phase, number | null> = {
        dns: null,
        connect: null,
        tls: null,
        firstByte: null,
        body: null,
      };
      let end = rounded(durationMs);
      for (const phase of PHASES.toReversed()) {
        const at = entered[phase];
        if (at === undefined) continue;
        // Divided, because a product such as 3 * 0.1 has an error.
        times[phase] = (end - rounded(at)) / (1 / unit);
        end = rounded(at);
      }
      return times;
    },
  };
}
