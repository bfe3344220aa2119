import { setImmediate as nextTurn } from 'node:timers';
import { createHeap } from '../../src/lib/heap.ts';

/** What `Date.now()` is at the beginning: any fixed time, so that the same seed makes the same ids. */
const EPOCH_MS = Date.UTC(2026, 0, 5);
/** A simulated process is as busy as a host is planned to be; total-limit-tuning.ts asks. */
const UTILIZATION = { idle: 40, active: 60, utilization: 0.6 };

/** A clock that goes on only when all that is due has been done. */
export interface SimulatedClock {
  /** Milliseconds since the beginning. */
  readonly now: number;
  /** Calls a function after so many milliseconds. */
  after(ms: number, run: () => void): void;
  /**
   * Runs all that is due until a time. Meanwhile it stands for the process's clock and timers: `performance.now`,
   * `Date.now`, `setTimeout`, `setInterval`, `setImmediate`, and `Math.random` is seeded.
   */
  run(untilMs: number): Promise<void>;
}

interface Due {
  at: number;
  order: number;
  run: (() => void) | null;
}

/** @param random stands for `Math.random`. */
export function createSimulatedClock(random: () => number): SimulatedClock {
  const due = createHeap<Due>((a, b) => a.at < b.at || (a.at === b.at && a.order < b.order));
  let now = 0;
  let order = 0;

  function add(ms: number, run: () => void): Due {
    // Whole milliseconds, as Node's timers: what is due in the same one shares a turn.
    const one = { at: now + Math.max(0, Math.ceil(ms)), order: order++, run };
    due.push(one);
    return one;
  }

  async function run(untilMs: number): Promise<void> {
    const restore = install(() => now, add, random);
    try {
      for (;;) {
        const next = due.peek();
        if (next === undefined || next.at > untilMs) break;
        now = next.at;
        for (let one = due.peek(); one !== undefined && one.at <= now; one = due.peek()) {
          due.pop();
          one.run?.();
        }
        // All promises that this has resolved go on, in their order, before the clock does.
        await new Promise<void>((resolve) => nextTurn(resolve));
      }
      now = untilMs;
    } finally {
      restore();
    }
  }

  return {
    get now() {
      return now;
    },
    after: (ms, run) => void add(ms, run),
    run,
  };
}

/** A timer, as far as the code that is simulated uses it. */
class Timer {
  #due: Due;

  constructor(due: Due) {
    this.#due = due;
  }

  renew(due: Due): void {
    this.#due = due;
  }

  stop(): void {
    this.#due.run = null;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

/** Replaces the clocks and timers of the process. Returns a function that puts them back. */
function install(
  now: () => number,
  add: (ms: number, run: () => void) => Due,
  random: () => number,
): () => void {
  const stop = (timer: unknown) => {
    if (timer instanceof Timer) timer.stop();
  };
  const repeat = (run: () => void, ms = 1) => {
    const again = () => {
      timer.renew(add(ms, again));
      run();
    };
    const timer = new Timer(add(ms, again));
    return timer;
  };
  const once = (run: (...args: unknown[]) => void, ms = 1, ...args: unknown[]) =>
    new Timer(add(ms, () => run(...args)));
  const replaced: [target: object, name: string, value: unknown][] = [
    [globalThis, 'setTimeout', once],
    [globalThis, 'clearTimeout', stop],
    [globalThis, 'setInterval', repeat],
    [globalThis, 'clearInterval', stop],
    [globalThis, 'setImmediate', (run: () => void) => new Timer(add(0, run))],
    [performance, 'now', now],
    [performance, 'eventLoopUtilization', () => UTILIZATION],
    [Date, 'now', () => EPOCH_MS + now()],
    [Math, 'random', random],
  ];
  const before = replaced.map(([target, name]) => Object.getOwnPropertyDescriptor(target, name));
  for (const [target, name, value] of replaced)
    Object.defineProperty(target, name, { value, configurable: true, writable: true });
  return () => {
    for (const [n, [target, name]] of replaced.entries()) {
      const was = before[n];
      if (was === undefined) Reflect.deleteProperty(target, name);
      else Object.defineProperty(target, name, was);
    }
  };
}
