import { FairQueue } from './fair-queue.ts';

/** The options of `createGroupCommit`. */
export interface GroupCommitOptions<In, Out> {
  /** Runs the work of a group. Its results are in the order of the items, or it fails for all of them. */
  readonly run: (items: In[]) => Promise<Out[]>;
  /** Groups that may run at the same time. */
  readonly concurrency: number;
  readonly maxItems: number;
  /**
   * The time that the first item of a group may wait for more items, in milliseconds. Without it, an item waits
   * only until fewer than `concurrency` groups are running.
   */
  readonly gatherMs?: number;
  /**
   * The time for which the latest group must have been running before another group starts beside it, in
   * milliseconds. Until then new items join a single larger group, which costs less. If the next group is full, it
   * starts at once. So it does beside a group of one or two items: then there is little load, and waiting would
   * only be slower.
   */
  readonly besideMs?: number;
  /**
   * Returns the owner of an item, such as its tenant. Owners take turns and none can fill the queue, so an
   * owner with thousands of items does not delay the others. Without it all items have one owner.
   */
  readonly ownerOf?: (item: In) => unknown;
  /** True: all items of a group have the same owner. */
  readonly apart?: boolean;
  /** Returns the weight of an item, such as its bytes. A group weighs at most `maxWeight`, or has one item. */
  readonly weigh?: (item: In) => number;
  readonly maxWeight?: number;
  /** If more items than this wait, `add` rejects with `TooManyWaitingError`. */
  readonly maxWaiting?: number;
  /** If waiting items weigh more than this, `add` rejects with `TooManyWaitingError`. */
  readonly maxWaitingWeight?: number;
}

export interface GroupCommit<In, Out> {
  /**
   * Adds an item to the next group; settles as that group's work does.
   *
   * @param urgent whether the group must not wait for more items.
   */
  add(item: In, urgent?: boolean): Promise<Out>;
  /** Resolves once no item waits and no group runs. */
  idle(): Promise<void>;
}

/** Too many items wait: the caller should ask its client to try again later. */
export class TooManyWaitingError extends Error {
  override readonly name = 'TooManyWaitingError';
}

/** A group of so many items is a sign of little load. */
const FEW = 2;

interface Waiting<In, Out> {
  readonly item: In;
  readonly weight: number;
  readonly resolve: (value: Out) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Lets concurrent callers share one piece of work, such as a transaction.
 *
 * Without `gatherMs` a group starts as soon as fewer than `concurrency` groups are running; with `besideMs`,
 * as soon as the group before it has ended or has been running for that long. A single item then does not
 * wait, and under load a group has the items that arrived while the groups before it ran. `gatherMs` is for
 * work that no caller waits for: it limits how often the work of a group is done.
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
  /** The time at which the first waiting item was added. */
  let since = 0;
  let urgent = gatherMs === 0;
  /** The time at which the latest group started. */
  let startedAt = 0;
  let latestSize = 0;
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
    // Not at once, so that items added in the same turn of the event loop share a group.
    setImmediate(startGroup);
  }

  /** Returns the time until the waiting items may start, apart from the limit of concurrency. */
  function msUntilNext(): number {
    if (waiting.size >= maxItems || waiting.weight >= maxWeight) return 0;
    const at = Math.max(
      urgent ? 0 : since + gatherMs,
      running === 0 || latestSize <= FEW ? 0 : startedAt + besideMs,
    );
    return at === 0 ? 0 : at - performance.now();
  }

  function startGroup(): void {
    scheduled = false;
    if (waiting.size === 0 || running >= concurrency) return;
    clearTimeout(timer);
    timer = undefined;
    const group = waiting.take(maxItems, maxWeight, apart);
    urgent = gatherMs === 0;
    latestSize = group.length;
    if (besideMs > 0) startedAt = performance.now();
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
