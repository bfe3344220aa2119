import type { Logger } from 'pino';
import { errorCode, errorMessage } from './errors.ts';
import { pauseAfter } from './pause-after.ts';
import { throttle } from './throttle.ts';

/** A single failure may be chance. */
const FAILING_AFTER = 2;
const WARN_EVERY_MS = 60_000;
const OUTAGE_EVERY_MS = 15_000;
/** The longest pause between tries of a failing loop: short, so that its recovery is seen soon. */
const MAX_PAUSE_MS = 15_000;
const OUTAGE_PAUSE_MS = 1_000;
/** A loop that only runs when it is given work, and got none since an outage, may work again. */
const FORGET_OUTAGE_MS = 5_000;

/** Background work that runs again and again, and reports success and failure. */
export interface Loop {
  succeeded(): void;
  /**
   * @param details for the log, such as the row.
   * @returns the pause before the next try in milliseconds, which grows with the failures in a row.
   */
  failed(error: unknown, details?: object): number;
}

export interface LoopState {
  readonly name: string;
  /** True: the loop failed at least twice in a row. */
  readonly failing: boolean;
  /** The number of its failures since the process started. */
  readonly failures: number;
}

export interface LoopHealth {
  /**
   * Registers a loop.
   *
   * @param name for metrics and logs, in snake case.
   * @param does its work, for people, such as `recording attempts`.
   * @param forgetAfterMs for a loop that only runs when it is given work: after this time without a failure it
   *   no longer counts as failing. A loop on a clock does not need it, since it tries again by itself.
   */
  watch(name: string, does: string, forgetAfterMs?: number): Loop;
  readonly loops: readonly LoopState[];
  /** Sentences that say which loops fail and since when; null if none fails. They contain no error texts. */
  reason(): string | null;
}

interface LoopHealthOptions {
  readonly log: Logger;
  /** Returns true if an error means that the database cannot be used at all: all loops then share one log line. */
  readonly isOutage: (error: unknown) => boolean;
}

interface Watched {
  readonly name: string;
  readonly does: string;
  inARow: number;
  failures: number;
  since: Date;
  error: unknown;
  outage: boolean;
}

/**
 * Tracks which background work fails. Work that fails twice in a row is logged as a warning (at most once a
 * minute each), counts as failing for metrics and readiness, and is logged again when it succeeds.
 */
export function createLoopHealth({ log, isOutage }: LoopHealthOptions): LoopHealth {
  const loops = new Map<string, Watched>();
  const isFailing = ({ inARow }: Watched) => inARow >= FAILING_AFTER;
  const waiting = () => [...loops.values()].filter((loop) => isFailing(loop) && loop.outage);
  const reportOutage = throttle<unknown>(OUTAGE_EVERY_MS, (error, times) => {
    const affected = [...loops.values()].filter(({ outage }) => outage);
    log.warn(
      { reason: errorMessage(error), times, loops: affected.map(({ name }) => name) },
      'the database cannot be used; background work waits for it',
    );
  });

  function recover(loop: Watched, how: string): void {
    const wasFailing = isFailing(loop);
    const { name, does, inARow, since, outage } = loop;
    loop.inARow = 0;
    loop.outage = false;
    if (!wasFailing) return;
    if (!outage) log.info({ loop: name, failures: inARow, since }, `${does} ${how}`);
    else if (waiting().length === 0) log.info('background work no longer waits for the database');
  }

  function watch(name: string, does: string, forgetAfterMs?: number): Loop {
    const known = loops.get(name);
    if (known !== undefined) throw new Error(`A loop with the name ${name} is already watched`);
    const loop: Watched = {
      name,
      does,
      inARow: 0,
      failures: 0,
      since: new Date(0),
      error: undefined,
      outage: false,
    };
    loops.set(name, loop);
    const warn = throttle<object>(WARN_EVERY_MS, (details, times) => {
      const { inARow, since, error } = loop;
      log.warn(
        { ...details, loop: name, reason: errorMessage(error), failures: inARow, since, times },
        `${does} keeps failing`,
      );
    });
    let timer: NodeJS.Timeout | undefined;
    return {
      succeeded() {
        if (loop.inARow === 0) return;
        clearTimeout(timer);
        recover(loop, 'works again');
      },
      failed(error, details = {}) {
        if (loop.inARow === 0) loop.since = new Date();
        loop.inARow += 1;
        loop.failures += 1;
        loop.error = error;
        loop.outage = isOutage(error);
        if (forgetAfterMs !== undefined) {
          clearTimeout(timer);
          const ms = loop.outage ? Math.min(forgetAfterMs, FORGET_OUTAGE_MS) : forgetAfterMs;
          timer = setTimeout(recover, ms, loop, 'has not failed since');
          timer.unref();
        }
        if (loop.outage) reportOutage(error);
        else if (isFailing(loop)) warn(details);
        else log.debug({ ...details, loop: name, reason: errorMessage(error) }, `${does} failed`);
        return loop.outage ? OUTAGE_PAUSE_MS : pauseAfter(loop.inARow, MAX_PAUSE_MS);
      },
    };
  }

  return {
    watch,
    get loops() {
      return [...loops.values()].map((loop) => ({
        name: loop.name,
        failing: isFailing(loop),
        failures: loop.failures,
      }));
    },
    reason() {
      const failing = [...loops.values()].filter(isFailing);
      if (failing.length === 0) return null;
      const sentences = failing.map(({ name, does, since, error }) => {
        const code = errorCode(error);
        return `${does} (${name}) since ${since.toISOString()}${code === undefined ? '' : `, error ${code}`}`;
      });
      return `Background work fails: ${sentences.join('; ')}. The log says why.`;
    },
  };
}

/** Runs a loop's work once, and reports success or failure to the loop. Throws the error of the work. */
export async function watched<T>(loop: Loop, work: () => Promise<T>): Promise<T> {
  try {
    const result = await work();
    loop.succeeded();
    return result;
  } catch (error) {
    loop.failed(error);
    throw error;
  }
}
