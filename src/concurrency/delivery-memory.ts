import { mayTake, mostToTake } from '../lib/fair-share.ts';

/** A delivery comes into memory because a job of the queue names it, or because it is read from a backlog. */
export type DeliverySource = 'queue' | 'backlog';
/** Deliveries of the queue that are among many from one sender have a share of the memory for themselves. */
export type MemoryShare = DeliverySource | 'bulk';

/**
 * Limits the deliveries in memory and the bytes of their bodies. The queue, its bulk deliveries and the backlogs share
 * both (lib/fair-share.ts); each of the three may always have one job or one delivery, so that none waits for the
 * others for ever. However many bulk deliveries wait, there is room for a webhook of another sender. Bodies that are
 * loaded one by one have a limit of their own (sending/large-bodies.ts).
 */
export interface DeliveryMemory {
  /**
   * Waits until the deliveries of a job fit, first come, first served.
   *
   * @param subscriptionIds one for each delivery.
   * @param bytes the most that their bodies can have.
   * @param bulk whether it is one of many jobs of one sender: all other waiting jobs go first.
   * @returns undefined when they fit now.
   */
  admitJob(
    subscriptionIds: readonly number[],
    bytes: number,
    bulk: boolean,
  ): Promise<void> | undefined;
  /**
   * Counts deliveries of webhooks that are being accepted, as far as they fit now and no job that would go first waits.
   * They are released as bulk deliveries, or as others of the queue.
   *
   * @param bytes of all their bodies.
   * @returns the number of deliveries that were counted; 0: none, and no bytes.
   */
  addAccepted(most: number, bytes: number, bulk: boolean): number;
  /**
   * Whether the queue has at most half of the memory and no job waits. Bulk deliveries do not count, and a backlog that
   * is being sent neither: they take most of the memory for as long as they last.
   */
  readonly isFree: boolean;
  /**
   * Waits until the memory is free of bulk deliveries too, and at most so long.
   *
   * @returns undefined if it is so now.
   */
  whenFree(maxMs: number): Promise<void> | undefined;
  /** Returns how many held deliveries fit now, if each has a body of so many bytes. */
  roomForHeld(bytesEach: number): number;
  /** Counts held deliveries, until they are released. */
  addHeld(count: number, bytes: number): void;
  /** Deliveries are no longer in memory, or have fewer bytes than was counted. */
  release(share: MemoryShare, count: number, bytes: number): void;
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
  const uses: Readonly<Record<MemoryShare, Use>> = {
    queue: { count: 0, bytes: 0 },
    bulk: { count: 0, bytes: 0 },
    backlog: { count: 0, bytes: 0 },
  };
  const { queue, bulk: bulkUse, backlog } = uses;
  const waiting: WaitingJob[] = [];
  const waitingBulk: WaitingJob[] = [];
  const whenFree = new Set<() => void>();

  const fits = (own: Use, count: number, bytes: number) =>
    own.count === 0 ||
    (mayTake(count, own.count, all.count, limit) && mayTake(bytes, own.bytes, all.bytes, maxBytes));

  const isFree = () =>
    waiting.length === 0 && queue.count <= limit / 2 && queue.bytes <= maxBytes / 2;
  const isFreeOfBulk = () =>
    waiting.length + waitingBulk.length === 0 &&
    queue.count + bulkUse.count <= limit / 2 &&
    queue.bytes + bulkUse.bytes <= maxBytes / 2;

  /** No job that waits would go first. */
  const isNext = (bulk: boolean) => waiting.length === 0 && (!bulk || waitingBulk.length === 0);

  function add(use: Use, count: number, bytes: number): void {
    use.count += count;
    use.bytes += bytes;
    all.count += count;
    all.bytes += bytes;
  }

  function admitWaiting(): void {
    for (;;) {
      const [jobs, use] = waiting.length > 0 ? [waiting, queue] : [waitingBulk, bulkUse];
      const [next] = jobs;
      if (next === undefined || !fits(use, next.subscriptionIds.length, next.bytes)) return;
      jobs.shift();
      add(use, next.subscriptionIds.length, next.bytes);
      next.admit();
    }
  }

  return {
    admitJob(subscriptionIds, bytes, bulk) {
      const use = bulk ? bulkUse : queue;
      if (isNext(bulk) && fits(use, subscriptionIds.length, bytes)) {
        add(use, subscriptionIds.length, bytes);
        return undefined;
      }
      return new Promise((admit) => {
        (bulk ? waitingBulk : waiting).push({ subscriptionIds, bytes, admit });
      });
    },
    addAccepted(most, bytes, bulk) {
      if (!isNext(bulk)) return 0;
      const use = bulk ? bulkUse : queue;
      const count = Math.min(most, mostToTake(use.count, all.count, limit));
      if (count <= 0 || !mayTake(bytes, use.bytes, all.bytes, maxBytes)) return 0;
      add(use, count, bytes);
      return count;
    },
    whenFree(maxMs) {
      if (isFreeOfBulk()) return undefined;
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
    release(share, count, bytes) {
      add(uses[share], -count, -bytes);
      admitWaiting();
      if (whenFree.size > 0 && isFreeOfBulk()) for (const tell of [...whenFree]) tell();
    },
    othersWait(subscriptionId) {
      const isForOthers = ({ subscriptionIds }: WaitingJob) =>
        subscriptionIds.some((id) => id !== subscriptionId);
      return waiting.some(isForOthers) || waitingBulk.some(isForOthers);
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
      return waiting.length + waitingBulk.length;
    },
  };
}
