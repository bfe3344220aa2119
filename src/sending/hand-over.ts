import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { DeliveryMemory, MemoryShare } from '../concurrency/delivery-memory.ts';
import { TIMEOUT_MS } from '../db/pool.ts';
import type { Patience } from '../db/retry-while-unavailable.ts';
import type { Announcement } from '../deliveries/announcement.ts';
import { handOverName, haveEnded, requeueHandedOver } from '../deliveries/handed-over.sql.ts';
import type { DeliveryKeys, OwedDelivery } from '../deliveries/load.sql.ts';
import type { HandedOver, IncomingWebhook } from '../intake/accept.sql.ts';
import type { HandOver, Reservation } from '../intake/nearby-worker.ts';
import type { Loop } from '../lib/loop-health.ts';
import type { IsOurs } from './courier.ts';
import { DeliveryTakenError } from './deliverer.ts';

/** Larger bodies are freed as soon as they are committed (lib/free-buffer.ts), so that they need no memory here. */
const MAX_BODY_BYTES = 16 * 1024 - 1;
/** Deliveries for which room is kept, for each webhook that is sent by event type. */
const FAN_OUT = 10;
/** Webhooks of other sessions in memory, most of which wait there. Further ones get jobs. */
const MAX_ANNOUNCED = 2_000;
/** How long a stop waits for transactions that may still hand webhooks over. */
const END_MS = 1_000;
const LOOK_AGAIN_MS = 50;
/** Nothing is handed over if the lease of this process ends sooner: another worker could send it meanwhile. */
const MIN_LEASE_MS = 10_000;

/** Knows which workers are alive (maintenance/worker-lease.ts). */
interface Lease {
  register(name: string): Promise<void>;
  leaveBehind(name: string): void;
  readonly leaseLeftMs: number;
  claim(): IsOurs;
  onTakenForDead(listener: (names: readonly string[]) => void): void;
}

export interface HandOverOptions {
  readonly pool: pg.Pool;
  readonly memory: DeliveryMemory;
  readonly lease: Lease;
  readonly patience: Patience;
  /** Told how the hand-over is registered, which deliveries fail, and how jobs are added for those that nobody knows of. */
  readonly loop: Loop;
  /**
   * Sends a delivery that is in memory, and calls `release` as soon as it is no longer there. Rejects with
   * DeliveryTakenError if another worker may have it.
   */
  readonly deliver: (delivery: OwedDelivery, isOurs: IsOurs, release: () => void) => Promise<void>;
  /** Loads and sends the deliveries of a webhook that another session has handed over to the worker. */
  readonly deliverAnnounced: (announcement: Announcement) => Promise<void>;
}

/** Takes webhooks that other sessions hand over, such as those that call posthorn.send. */
export interface Taker {
  /** The number under which they may hand webhooks over now; undefined: under none. */
  readonly takesAs: number | undefined;
  /** Calls the listener when that may have changed, except when there is room again. */
  onChange(listener: () => void): void;
  /** A session says that it has handed a webhook over. */
  announced(announcement: Announcement): void;
  /** Sessions may have said so while nobody listened. */
  missed(): void;
  /** The first transaction that hands nothing over any more; null: there is none. */
  closed(transaction: string | null): void;
}

export interface WorkerHandOver extends HandOver, Taker {
  start(): void;
  /** Hands nothing over from now on; resolves when the deliveries in memory have ended. */
  stop(): Promise<void>;
}

/**
 * Gives deliveries from intake to the sender in the same process. The webhook has just been in memory, so
 * it is not loaded again, and there is no job to add, to notify, to take and to complete: a lone webhook takes
 * two transactions, its acceptance and its result.
 *
 * Single webhooks of other sessions, such as those of posthorn.send, are handed over too: the SQL function
 * store_webhook writes the number of a worker that takes them, and notifies it (queue/offer.ts). The worker loads
 * them. It looks whether they are still handed over to it, because any role of the database may notify it, and
 * because others may have added jobs for them meanwhile.
 *
 * The queue stays what everything else goes through: whatever has no room in memory, is retried, or is one of many.
 *
 * `deliveries.handed_to` has the number of the worker, and `posthorn.workers` a row for it. When the process ends
 * in any way, another worker finds the row dead, and adds jobs for the deliveries (requeueHandedOver). The process
 * itself does the same if the database does not answer whether webhooks were committed, for deliveries that it does not send
 * because another worker may have taken it for dead, and for those of which it may not have been told. Until then
 * nothing more is handed over.
 */
export function createHandOver(options: HandOverOptions): WorkerHandOver {
  const { pool, memory, lease, patience, loop, deliver, deliverAnnounced } = options;
  const inMemory = new Set<Pick<OwedDelivery, 'webhookId' | 'subscriptionId'>>();
  /** Webhooks in memory that other sessions have handed over. */
  const announced = new Set<string>();
  /** Reservations of webhooks that are being committed. */
  let reserved = 0;
  let number: number | undefined;
  /** The numbers under which deliveries may be owed that are not in memory, and those that are being searched. */
  let uncertain = new Set<number>();
  let searched = new Set<number>();
  /** Resolves when jobs have been added for deliveries that are not in memory. */
  let requeueing: Promise<unknown> = Promise.resolve();
  /** The first transaction of another session that hands nothing over any more; null: there is none. */
  let closedFrom: string | null = '0';
  let stopped = false;
  let onIdle: (() => void)[] = [];
  const onChange: (() => void)[] = [];

  /** Tries until it is registered, or the process stops. */
  async function register(): Promise<void> {
    while (!stopped) {
      const next = randomInt(1, 2 ** 31);
      try {
        await lease.register(handOverName(next));
        number = next;
        loop.succeeded();
        tellChange();
        return;
      } catch (error) {
        if (stopped) return;
        await sleep(loop.failed(error), undefined, { ref: false });
      }
    }
  }

  function begin(
    { id, webhook, subscriptionId }: HandedOver,
    worker: number,
    share: MemoryShare,
    isOurs: IsOurs,
  ): void {
    const bytes = webhook.body.length;
    let released = false;
    const release = () => {
      if (released) return;
      released = true;
      memory.release(share, 1, bytes);
    };
    const delivery = owedOf(id, webhook, subscriptionId);
    inMemory.add(delivery);
    void deliver(delivery, isOurs, release)
      .catch((error: unknown) => {
        if (error instanceof DeliveryTakenError) uncertain.add(worker);
        // The delivery is found as a lost one.
        else loop.failed(error, { webhookId: id, subscriptionId });
      })
      .finally(() => {
        release();
        inMemory.delete(delivery);
        search();
        tellIdle();
      });
  }

  async function beginAnnounced(announcement: Announcement): Promise<void> {
    const { worker, job } = announcement;
    const [webhookId] = job.webhooks as [string];
    // The same notification twice.
    if (announced.has(webhookId)) return;
    announced.add(webhookId);
    const deliveries = job.subscriptions.map((subscriptionId) => ({ webhookId, subscriptionId }));
    for (const delivery of deliveries) inMemory.add(delivery);
    try {
      // The list of what is in memory may have been made before. The deliveries have jobs then, and are not loaded.
      await requeueing;
      await deliverAnnounced(announcement);
    } catch (error) {
      uncertain.add(worker);
      if (!(error instanceof DeliveryTakenError)) loop.failed(error, { webhookId });
    } finally {
      announced.delete(webhookId);
      for (const delivery of deliveries) inMemory.delete(delivery);
      search();
      tellIdle();
    }
  }

  function tellChange(): void {
    for (const listener of onChange) listener();
  }

  /** Waits a while until no transaction is open that may still hand a webhook over. Returns whether it is so. */
  async function nobodyHandsOver(): Promise<boolean> {
    const until = performance.now() + END_MS;
    try {
      for (;;) {
        if (closedFrom !== null && (await haveEnded(pool, closedFrom))) return true;
        if (performance.now() > until) return false;
        await sleep(LOOK_AGAIN_MS);
      }
    } catch {
      return false;
    }
  }

  function tellIdle(): void {
    if (reserved > 0 || inMemory.size > 0) return;
    for (const resolve of onIdle) resolve();
    onIdle = [];
  }

  /** Begins to look for deliveries that are not in memory, as soon as none is being committed. */
  function search(): void {
    if (stopped || reserved > 0 || uncertain.size === 0 || searched.size > 0) return;
    searched = uncertain;
    uncertain = new Set();
    tellChange();
    void requeueUnknown([...searched]).finally(() => {
      searched = new Set();
      search();
    });
  }

  /** Adds jobs for deliveries that are owed, and are not in memory. */
  async function requeueUnknown(workers: readonly number[]): Promise<void> {
    const requeue = async () => {
      const done = patience(() => requeueHandedOver(pool, workers, keysInMemory()), loop);
      requeueing = done.catch(() => {});
      await done;
    };
    try {
      await requeue();
      // The statement whose connection was lost may still have been running, and was committed since.
      await sleep(TIMEOUT_MS, undefined, { ref: false });
      if (!stopped) await requeue();
      loop.succeeded();
    } catch (error) {
      // They are found as lost deliveries, or by another worker when this process has ended.
      loop.failed(error);
    }
  }

  function keysInMemory(): DeliveryKeys {
    const deliveries = [...inMemory];
    return {
      webhooks: deliveries.map(({ webhookId }) => webhookId),
      subscriptions: deliveries.map(({ subscriptionId }) => subscriptionId),
    };
  }

  /** Returns the number under which deliveries are handed over now. */
  function currentNumber(): number | undefined {
    const isCertain = uncertain.size === 0 && searched.size === 0;
    const isSafe = isCertain && !stopped && lease.leaseLeftMs >= MIN_LEASE_MS;
    return isSafe ? number : undefined;
  }

  lease.onTakenForDead((names) => {
    if (number === undefined || !names.includes(handOverName(number))) return;
    number = undefined;
    tellChange();
    void register();
  });

  return {
    get takesAs() {
      return memory.isFree ? currentNumber() : undefined;
    },
    onChange: (listener) => void onChange.push(listener),
    announced(announcement) {
      const { worker } = announcement;
      // Others add jobs for what was handed over to a worker that is gone.
      if (stopped || worker !== number) return;
      if (announced.size < MAX_ANNOUNCED) void beginAnnounced(announcement);
      else uncertain.add(worker);
      search();
      if (!memory.isFree) tellChange();
    },
    missed() {
      if (number !== undefined) uncertain.add(number);
      search();
    },
    closed(transaction) {
      closedFrom = transaction;
    },
    reserve(webhooks, bulk) {
      const worker = currentNumber();
      if (worker === undefined) return null;
      if (webhooks.some(({ body }) => body.length > MAX_BODY_BYTES)) return null;
      const byType = webhooks.filter(({ subscriptionId }) => subscriptionId === null).length;
      const bytes = webhooks.reduce((sum, { body }) => sum + body.length, 0);
      const room = memory.addAccepted(webhooks.length + byType * (FAN_OUT - 1), bytes, bulk);
      if (room === 0) return null;
      reserved += 1;
      return reservation(worker, bulk ? 'bulk' : 'queue', room, bytes, lease.claim());
    },
    whenFree: (maxMs) => (currentNumber() === undefined ? undefined : memory.whenFree(maxMs)),
    start() {
      void register();
    },
    async stop() {
      stopped = true;
      tellChange();
      if (reserved > 0 || inMemory.size > 0)
        await new Promise<void>((resolve) => onIdle.push(resolve));
      for (const worker of [...uncertain, ...searched]) lease.leaveBehind(handOverName(worker));
      if (number !== undefined && !(await nobodyHandsOver()))
        lease.leaveBehind(handOverName(number));
    },
  };

  function reservation(
    worker: number,
    share: MemoryShare,
    room: number,
    bytes: number,
    isOurs: IsOurs,
  ): Reservation {
    const end = () => {
      reserved -= 1;
      search();
      tellIdle();
    };
    return {
      number: worker,
      room,
      begin(deliveries) {
        // A webhook's deliveries share its body, which counts for each of them from now on.
        const taken = deliveries.reduce((sum, { webhook }) => sum + webhook.body.length, 0);
        memory.release(share, room - deliveries.length, bytes - taken);
        for (const delivery of deliveries) begin(delivery, worker, share, isOurs);
        end();
      },
      cancel(isKnown) {
        memory.release(share, room, bytes);
        if (!isKnown) uncertain.add(worker);
        end();
      },
    };
  }
}

function owedOf(
  id: string,
  { tenant, contentType, headers, body }: IncomingWebhook,
  subscriptionId: number,
): OwedDelivery {
  return {
    webhookId: id,
    subscriptionId,
    tenant,
    attemptCount: 0,
    scheduleOffset: 0,
    probeCount: 0,
    handedTo: null,
    contentType,
    dueAt: performance.now(),
    sourceHeaders: headers === null ? null : Object.entries(headers).flat(),
    bytes: body.length,
    body,
    ownBody: false,
    problem: null,
  };
}
