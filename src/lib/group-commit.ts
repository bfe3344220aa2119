import { FairQueue } from './fair-queue.ts';

/** What `createGroupCommit` needs to know. */
export interface GroupCommitOptions<In, Out> {
  /** Does the work of a group at once. It answers in the order of its items, or fails for all of them. */
  readonly run: (items: In[]) => Promise<Out[]>;
  /** Groups that may run at the same time. */
  readonly concurrency: number;
  readonly maxItems: number;
  /**
   * How long the first item of a group may wait for company, in milliseconds. Without it, it never
   * waits longer than until fewer than `concurrency` groups are running.
   */
  readonly gatherMs?: number;
  /**
   * How long the latest group must have been running before another one leaves beside it, unless that
   * is full, in milliseconds. Until then what comes joins a larger one, which costs less.
   */
  readonly besideMs?: number;
  /**
   * Whose an item is, such as a tenant's. Owners take turns, and none of them fills the queue, so that
   * one with thousands of items holds up nobody else. Without it all have one owner.
   */
  readonly ownerOf?: (item: In) => unknown;
  /** Whether a group has items of one owner only. */
  readonly apart?: boolean;
  /** What an item weighs (its bytes, say); a group weighs at most `maxWeight`, or is a single item. */
  readonly weigh?: (item: In) => number;
  readonly maxWeight?: number;
  /** Past this many waiting items, `add` refuses with `TooManyWaitingError`. */
  readonly maxWaiting?: number;
  /** Past this weight of waiting items, `add` refuses with `TooManyWaitingError`. */
  readonly maxWaitingWeight?: number;
}

export interface GroupCommit<In, Out> {
  /**
   * Joins the next group; settles as that group's work does.
   *
   * @param urgent whether the group is not to wait for company any longer.
   */
  add(item: In, urgent?: boolean): Promise<Out>;
  /** Resolves once nothing waits and nothing runs. */
  idle(): Promise<void>;
}

/** The backlog is at its bound: the caller should tell its client to come back later. */
export class TooManyWaitingError extends Error {
  override readonly name = 'TooManyWaitingError';
}

interface Waiting<In, Out> {
  readonly item: In;
  readonly weight: number;
  readonly resolve: (value: Out) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Lets callers that come at the same time share one piece of work, such as a transaction.
 *
 * Without `gatherMs` a group leaves as soon as fewer than `concurrency` groups are running, or, with
 * `besideMs`, as the one before it has ended or has been running for so long. A lone item then never waits
 * for company, and under load a group is whatever has come while the ones before it ran. With `gatherMs`,
 * what nobody waits for costs a group's work only so often.
 */
export function createGroupCommit<In, Out>(
  options: GroupCommitOptions<In, Out>,
): GroupCommit<In, Out> {
  const {
    run,
    concurrency,
    maxItems,
    gatherMs = 0,
    besideMs = 0,
    ownerOf = () => null,
    apart = false,
    weigh = () => 1,
    maxWeight = Number.POSITIVE_INFINITY,
    maxWaiting = Number.POSITIVE_INFINITY,
    maxWaitingWeight = Number.POSITIVE_INFINITY,
  } = options;
  const waiting = new FairQueue<unknown, Waiting<In, Out>>(
    { maxItems: maxWaiting, maxWeight: maxWaitingWeight },
    options.ownerOf !== undefined,
  );
  let running = 0;
  let scheduled = false;
  /** Since when the first of those waits. */
  let since = 0;
  let urgent = gatherMs === 0;
  /** When the latest group left. */
  let leftAt = 0;
  let timer: NodeJS.Timeout | undefined;
  let onIdle: (() => void)[] = [];

  function schedule(): void {
    if (scheduled || waiting.size === 0 || running >= concurrency) return;
    const ms = msUntilNext();
    if (ms > 0) {
      timer ??= setTimeout(() => {
        timer = undefined;
        schedule();
      }, ms);
      return;
    }
    scheduled = true;
    // Not at once: what arrives in the same turn of the event loop travels together.
    setImmediate(leave);
  }

  /** Until what waits may leave, as far as time goes. */
  function msUntilNext(): number {
    if (waiting.size >= maxItems || waiting.weight >= maxWeight) return 0;
    const at = Math.max(urgent ? 0 : since + gatherMs, running === 0 ? 0 : leftAt + besideMs);
    return at === 0 ? 0 : at - performance.now();
  }

  function leave(): void {
    scheduled = false;
    if (waiting.size === 0 || running >= concurrency) return;
    clearTimeout(timer);
    timer = undefined;
    const group = waiting.take(maxItems, maxWeight, apart);
    urgent = gatherMs === 0;
    if (besideMs > 0) leftAt = performance.now();
    running += 1;
    schedule();
    void work(group);
  }

  async function work(group: Waiting<In, Out>[]): Promise<void> {
    try {
      const results = await run(group.map(({ item }) => item));
      group.forEach(({ resolve }, index) => {
        resolve(results[index] as Out);
      });
    } catch (error) {
      for (const { reject } of group) reject(error);
    } finally {
      running -= 1;
      schedule();
      if (running === 0 && waiting.size === 0) {
        for (const resolve of onIdle) resolve();
        onIdle = [];
      }
    }
  }

  return {
    add(item, isUrgent = false) {
      return new Promise<Out>((resolve, reject) => {
        const first = waiting.size === 0;
        if (!waiting.push(ownerOf(item), { item, weight: weigh(item), resolve, reject })) {
          reject(new TooManyWaitingError('Too many are waiting already'));
          return;
        }
        if (gatherMs > 0 && first) since = performance.now();
        urgent ||= isUrgent;
        schedule();
      });
    },
    idle() {
      if (running === 0 && waiting.size === 0) return Promise.resolve();
      return new Promise((resolve) => {
        onIdle.push(resolve);
      });
    },
  };
}
