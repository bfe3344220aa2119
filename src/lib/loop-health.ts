import type { Logger } from 'pino';
import { errorCode, errorMessage } from './errors.ts';
import { pauseAfter } from './pause-after.ts';
import { rarely } from './rarely.ts';

/** One failure may be chance. */
const FAILING_AFTER = 2;
const WARN_EVERY_MS = 60_000;
const OUTAGE_EVERY_MS = 15_000;
/** Between tries of a loop that fails: short enough that it is soon known to work again. */
const MAX_PAUSE_MS = 15_000;
const OUTAGE_PAUSE_MS = 1_000;
/** A loop that waits for others to give it work, and was given none since an outage, may be well again. */
const FORGET_OUTAGE_MS = 5_000;

/** Background work that is done again and again, and tells how that went. */
export interface Loop {
  succeeded(): void;
  /**
   * @param details for the log: which row it was, for instance.
   * @returns after how many milliseconds to try again, which grows with the failures in a row.
   */
  failed(error: unknown, details?: object): number;
}

export interface LoopState {
  readonly name: string;
  /** It failed at least twice in a row. */
  readonly failing: boolean;
  /** All its failures, since the process started. */
  readonly failures: number;
}

export interface LoopHealth {
  /**
   * Begins to watch a loop.
   *
   * @param name for metrics and logs, in snake case.
   * @param does what it does, for people: `recording attempts`.
   * @param forgetAfterMs for a loop that only runs when it is given work: with no failure for so long it
   *   no longer counts as failing. A loop on a clock needs none, since it tries again by itself.
   */
  watch(name: string, does: string, forgetAfterMs?: number): Loop;
  readonly loops: readonly LoopState[];
  /** Which loops fail, and since when, as sentences; null when none does. They tell no error's text. */
  reason(): string | null;
}

export interface LoopHealthOptions {
  readonly log: Logger;
  /** Whether an error means that the database cannot be used at all: then there is one line for all loops. */
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
 * Knows which background work fails. Work that fails twice in a row is logged as a warning (at most once
 * a minute each), counts as failing for metrics and readiness, and is logged again when it succeeds.
 */
export function createLoopHealth({ log, isOutage }: LoopHealthOptions): LoopHealth {
  const loops = new Map<string, Watched>();
  const isFailing = ({ inARow }: Watched) => inARow >= FAILING_AFTER;
  const waiting = () => [...loops.values()].filter((loop) => isFailing(loop) && loop.outage);
  const reportOutage = rarely<unknown>(OUTAGE_EVERY_MS, (error, times) => {
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
    if (known !== undefined) throw new Error(`A loop of the name ${name} is watched already`);
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
    const warn = rarely<object>(WARN_EVERY_MS, (details, times) => {
      const { inARow, since, error } = loop;
      log.warn(
        { ...details, loop: name, reason: errorMessage(error), failures: inARow, since, times },
        `${does} fails again and again`,
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

/** Does a loop's work once, and tells the loop how that went. Throws what the work throws. */
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
