import { mayTake, mostToTake } from '../lib/fair-share.ts';

/** A delivery comes into memory because a job of the queue names it, or because it is read from a backlog. */
export type DeliverySource = 'queue' | 'backlog';

/**
 * Limits the deliveries in memory and the bytes of their bodies. The queue and the backlogs share both
 * (lib/fair-share.ts); each of the two may always have one job or one delivery, so that neither waits for the
 * other for ever. Bodies that are loaded one by one have a limit of their own (sending/large-bodies.ts).
 */
export interface DeliveryMemory {
  /**
   * Waits until the deliveries of a job fit, first come, first served.
   *
   * @param subscriptionIds one for each delivery.
   * @param bytes the most that their bodies can have.
   * @param last whether all other waiting jobs go first.
   * @returns undefined when they fit now.
   */
  admitJob(
    subscriptionIds: readonly number[],
    bytes: number,
    last: boolean,
  ): Promise<void> | undefined;
  /**
   * Counts deliveries of webhooks that are being accepted, as far as they fit now and no job waits. They are
   * released as deliveries of the queue.
   *
   * @param bytes of all their bodies.
   * @returns the number of deliveries that were counted; 0: none, and no bytes.
   */
  addAccepted(most: number, bytes: number): number;
  /**
   * Whether the queue has at most half of the memory and no job waits. A backlog that is being sent does not count: it
   * takes most of the memory for as long as it lasts.
   */
  readonly isFree: boolean;
  /**
   * Waits until the memory is free, and at most so long.
   *
   * @returns undefined if it is so now.
   */
  whenFree(maxMs: number): Promise<void> | undefined;
  /** Returns how many held deliveries fit now, if each has a body of so many bytes. */
  roomForHeld(bytesEach: number): number;
  /** Counts held deliveries, until they are released. */
  addHeld(count: number, bytes: number): void;
  /** Deliveries are no longer in memory, or have fewer bytes than was counted. */
  release(source: DeliverySource, count: number, bytes: number): void;
  /** Returns whether a job waits with a delivery to any other subscription. */
  othersWait(subscriptionId: number): boolean;
  /** Changes the number of deliveries. Those in memory stay. */
  resize(maxCount: number): void;
  /** The number of deliveries in memory. */
  readonly count: number;
  /** The number of waiting jobs. */
  readonly waiting: number;
}

interface WaitingJob {
  readonly subscriptionIds: readonly number[];
  readonly bytes: number;
  readonly admit: () => void;
}

interface Use {
  count: number;
  bytes: number;
}

/** @param maxBytes a single job that is larger is admitted when the queue has nothing in memory. */
export function createDeliveryMemory(maxCount: number, maxBytes: number): DeliveryMemory {
  let limit = maxCount;
  const all: Use = { count: 0, bytes: 0 };
  const queue: Use = { count: 0, bytes: 0 };
  const backlog: Use = { count: 0, bytes: 0 };
  const waiting: WaitingJob[] = [];
  const waitingLast: WaitingJob[] = [];
  const whenFree = new Set<() => void>();

  const fits = (count: number, bytes: number) =>
    queue.count === 0 ||
    (mayTake(count, queue.count, all.count, limit) &&
      mayTake(bytes, queue.bytes, all.bytes, maxBytes));

  const isFree = () =>
    waiting.length + waitingLast.length === 0 &&
    queue.count <= limit / 2 &&
    queue.bytes <= maxBytes / 2;

  function add(use: Use, count: number, bytes: number): void {
    use.count += count;
    use.bytes += bytes;
    all.count += count;
    all.bytes += bytes;
  }

  function admitWaiting(): void {
    for (;;) {
      const jobs = waiting.length > 0 ? waiting : waitingLast;
      const [next] = jobs;
      if (next === undefined || !fits(next.subscriptionIds.length, next.bytes)) return;
      jobs.shift();
      add(queue, next.subscriptionIds.length, next.bytes);
      next.admit();
    }
  }

  return {
    admitJob(subscriptionIds, bytes, last) {
      const isNext = waiting.length === 0 && (!last || waitingLast.length === 0);
      if (isNext && fits(subscriptionIds.length, bytes)) {
        add(queue, subscriptionIds.length, bytes);
        return undefined;
      }
      return new Promise((admit) => {
        (last ? waitingLast : waiting).push({ subscriptionIds, bytes, admit });
      });
    },
    addAccepted(most, bytes) {
      if (waiting.length + waitingLast.length > 0) return 0;
      const count = Math.min(most, mostToTake(queue.count, all.count, limit));
      if (count <= 0 || !mayTake(bytes, queue.bytes, all.bytes, maxBytes)) return 0;
      add(queue, count, bytes);
      return count;
    },
    whenFree(maxMs) {
      if (isFree()) return undefined;
      return new Promise((resolve) => {
        const end = () => {
          clearTimeout(timer);
          whenFree.delete(end);
          resolve();
        };
        const timer = setTimeout(end, maxMs);
        whenFree.add(end);
      });
    },
    roomForHeld(bytesEach) {
      const room = Math.min(
        mostToTake(backlog.count, all.count, limit),
        Math.floor(mostToTake(backlog.bytes, all.bytes, maxBytes) / bytesEach),
      );
      return Math.max(backlog.count === 0 ? 1 : 0, room);
    },
    addHeld: (count, bytes) => add(backlog, count, bytes),
    release(source, count, bytes) {
      add(source === 'queue' ? queue : backlog, -count, -bytes);
      admitWaiting();
      if (whenFree.size > 0 && isFree()) for (const tell of [...whenFree]) tell();
    },
    othersWait(subscriptionId) {
      const isForOthers = ({ subscriptionIds }: WaitingJob) =>
        subscriptionIds.some((id) => id !== subscriptionId);
      return waiting.some(isForOthers) || waitingLast.some(isForOthers);
    },
    resize(max) {
      limit = max;
      admitWaiting();
    },
    get isFree() {
      return isFree();
    },
    get count() {
      return all.count;
    },
    get waiting() {
      return waiting.length + waitingLast.length;
    },
  };
}
