import type pg from 'pg';
import type { DeliverySource } from '../concurrency/delivery-memory.ts';
import type { Limiter } from '../concurrency/limiter.ts';
import type { Place } from '../concurrency/receiver.ts';
import { mayBeOfRows } from '../db/availability.ts';
import type { Patience } from '../db/retry-while-unavailable.ts';
import type { AttemptStatus } from '../db/types.ts';
import { holdDeliveries } from '../deliveries/hold.sql.ts';
import type { DeliverJob } from '../deliveries/jobs.sql.ts';
import {
  type DeliveryKeys,
  loadedBytesOf,
  loadOwed,
  type OwedDelivery,
} from '../deliveries/load.sql.ts';
import { SMALL_BODY_BYTES } from '../deliveries/payloads.sql.ts';
import { requeue } from '../deliveries/requeue.sql.ts';
import { createGroupCommit } from '../lib/group-commit.ts';
import { errorsOf, isolate } from '../lib/isolate.ts';
import { type Loop, watched } from '../lib/loop-health.ts';
import type { Courier, IsOurs, MayBegin, Origin, Outcome } from './courier.ts';

export const LOAD_CONNECTIONS = 2;
/** Jobs that come while others are loaded, which takes a millisecond or two, are loaded together. */
const LOAD_BESIDE_MS = 5;
const MAX_LOAD = 500;
const MAX_HOLD = 500;
/** A group is divided after so many timeouts in a row: another session may lock one row. */
const MAX_TIMEOUTS = 2;

/** Nothing was sent: this process was silent for so long that another worker may have the delivery. */
export class DeliveryTakenError extends Error {
  override readonly name = 'DeliveryTakenError';
}

export interface DelivererOptions {
  readonly pool: pg.Pool;
  readonly courier: Courier;
  readonly limiter: Limiter;
  readonly patience: Patience;
  /** Begins to watch whether what this process has now stays its own (maintenance/worker-lease.ts). */
  readonly claim: () => IsOurs;
  /** Told how loading deliveries goes, and holding those that find no place. */
  readonly loadLoop: Loop;
  readonly holdLoop: Loop;
  /** Called with the subscriptions whose deliveries were held just now. */
  readonly onHeld: (subscriptionIds: Iterable<number>) => void;
}

export interface Deliverer {
  /**
   * Makes the attempts that a job names and records them. A delivery that was attempted or decided since
   * the job was made is skipped: the job is stale. A delivery whose receiver is at its limit is
   * held, and so is one that has to go through its backlog.
   *
   * @param signal when it aborts, requests under way are ended; those deliveries are due again at
   *   once, without having used up an attempt.
   * @param bulk the job is one of many that came at once, and all others go first.
   * @throws DeliveryTakenError if another worker may have the job. The queue tries it again if none has.
   */
  deliver(job: DeliverJob, signal: AbortSignal, bulk: boolean): Promise<void>;
  /**
   * Does the same for deliveries that were handed over to a worker of this process in another session. Those that are
   * not attempted stay handed over to it, and those that are handed over to it no longer are skipped.
   */
  deliverAnnounced(job: DeliverJob, worker: number, signal: AbortSignal): Promise<void>;
  /**
   * Makes the attempt of a delivery that intake has handed over, or holds it.
   *
   * @param release called as soon as the delivery is no longer in memory.
   * @throws DeliveryTakenError if another worker may have it.
   */
  deliverHandedOver(
    delivery: OwedDelivery,
    signal: AbortSignal,
    isOurs: IsOurs,
    release: () => void,
  ): Promise<void>;
  /**
   * Makes the attempt of a held delivery. It stays unchanged if its receiver has no room after all, or
   * if `mayBegin` returns false.
   */
  deliverHeld(delivery: OwedDelivery, signal: AbortSignal, mayBegin: MayBegin): Promise<Outcome>;
  /** Begins no more jobs: those that have not begun are handed back. */
  stopBeginning(): void;
  /** Returns the number of attempts that have begun and are not recorded yet, by subscription. */
  attemptsUnderWay(): [subscriptionId: number, attempts: number][];
}

/** From a job to recorded attempts. */
export function createDeliverer(options: DelivererOptions): Deliverer {
  const { pool, courier, limiter, patience, claim, loadLoop, holdLoop, onHeld } = options;
  const { memory, receiverLimits } = limiter;
  let stopping = false;
  const underWay = new Map<number, number>();

  const loads = createGroupCommit<DeliveryKeys, OwedDelivery[]>({
    concurrency: LOAD_CONNECTIONS,
    besideMs: LOAD_BESIDE_MS,
    maxItems: MAX_LOAD,
    weigh: ({ webhooks }) => webhooks.length,
    maxWeight: MAX_LOAD,
    run: async (asked) => {
      const keys = {
        webhooks: asked.flatMap(({ webhooks }) => webhooks),
        subscriptions: asked.flatMap(({ subscriptions }) => subscriptions),
      };
      const owed = await watched(loadLoop, () => patience(() => loadOwed(pool, keys), loadLoop));
      const byKey = new Map(
        owed.map((delivery) => [keyOf(delivery.webhookId, delivery.subscriptionId), delivery]),
      );
      return asked.map(({ webhooks, subscriptions }) =>
        webhooks.flatMap(
          (webhookId, index) => byKey.get(keyOf(webhookId, subscriptions[index] as number)) ?? [],
        ),
      );
    },
  });

  const holds = createGroupCommit<OwedDelivery, unknown>({
    concurrency: 1,
    maxItems: MAX_HOLD,
    run: async (deliveries) => {
      const held = await isolate(deliveries, holdAll, mayBeOfRows);
      const [first] = held.errors;
      if (first === undefined) holdLoop.succeeded();
      else holdLoop.failed(first[1], { subscriptionId: first[0].subscriptionId });
      return errorsOf(deliveries, held);
    },
  });

  async function holdAll(deliveries: OwedDelivery[]): Promise<void> {
    await patience(() => holdDeliveries(pool, deliveries), holdLoop, MAX_TIMEOUTS);
    onHeld(new Set(deliveries.map(({ subscriptionId }) => subscriptionId)));
  }

  /** @throws when it cannot be held; the queue then retries the job after a growing pause. */
  async function hold(delivery: OwedDelivery, isOurs: IsOurs): Promise<void> {
    // The owner of the backlog would send it while another worker does.
    if (!isOurs()) throw taken();
    const error = await holds.add(delivery);
    if (error !== undefined) throw error;
  }

  /** @param worker the deliveries were handed over to it, and have no job. */
  async function deliver(
    job: DeliverJob,
    signal: AbortSignal,
    bulk: boolean,
    worker?: number,
  ): Promise<void> {
    limiter.watch();
    const isOurs = claim();
    let count = job.webhooks.length;
    let bytes = Math.min(job.bytes, count * SMALL_BODY_BYTES);
    const admitted = memory.admitJob(job.subscriptions, bytes, bulk);
    if (admitted !== undefined) await admitted;
    const release = (lessCount: number, lessBytes: number) => {
      count -= lessCount;
      bytes -= lessBytes;
      memory.release(bulk ? 'bulk' : 'queue', lessCount, lessBytes);
    };
    const releaseOne = (delivery: OwedDelivery) => release(1, loadedBytesOf(delivery));
    try {
      if (stopping) return await handBack(job, worker);
      const owed = (await loads.add(job)).filter(
        ({ attemptCount, handedTo }) =>
          attemptCount === job.attempt - 1 && (worker === undefined || handedTo === worker),
      );
      // Stale deliveries are not sent, and large bodies are not loaded yet.
      release(count - owed.length, bytes - owed.reduce((sum, one) => sum + loadedBytesOf(one), 0));
      const unfinished: OwedDelivery[] = [];
      const outcomes = await Promise.allSettled(
        owed.map((delivery) =>
          attemptOrHold(delivery, signal, isOurs, bulk, releaseOne, unfinished),
        ),
      );
      if (unfinished.length > 0) {
        const rest = {
          attempt: job.attempt,
          bytes: unfinished.reduce((sum, { bytes }) => sum + bytes, 0),
          webhooks: unfinished.map(({ webhookId }) => webhookId),
          subscriptions: unfinished.map(({ subscriptionId }) => subscriptionId),
        };
        await handBack(rest, worker);
      }
      // The queue tries the job again; deliveries that were recorded will be skipped.
      const failure = outcomes.find(({ status }) => status === 'rejected');
      if (failure !== undefined) throw (failure as PromiseRejectedResult).reason;
    } finally {
      release(count, bytes);
    }
  }

  async function handBack(job: DeliverJob, worker: number | undefined): Promise<void> {
    // Deliveries that were handed over, and not attempted because the process stops, get jobs when the worker is retired.
    if (worker === undefined) await requeue(pool, job);
  }

  /** @param unfinished gets the delivery when no attempt was made. */
  async function attemptOrHold(
    delivery: OwedDelivery,
    signal: AbortSignal,
    isOurs: IsOurs,
    bulk: boolean,
    release: (delivery: OwedDelivery) => void,
    unfinished: OwedDelivery[],
  ): Promise<void> {
    const entered = enter(delivery, 'queue');
    const place = entered instanceof Promise ? await entered : entered;
    if (place === null) {
      release(delivery);
      if (stopping) unfinished.push(delivery);
      else await hold(delivery, isOurs);
      return;
    }
    const origin: Origin = { from: 'queue', isOurs, bulk };
    const outcome = await attemptIn(place, delivery, signal, release, origin);
    if (outcome === 'taken') throw taken();
    if (outcome === 'hold') await hold(delivery, isOurs);
    else if (outcome === 'untouched') unfinished.push(delivery);
  }

  function enter(
    delivery: OwedDelivery,
    from: DeliverySource,
  ): Place | null | Promise<Place | null> {
    const { subscriptionId, tenant } = delivery;
    return receiverLimits.enter(subscriptionId, tenant, loadedBytesOf(delivery), from);
  }

  async function attemptIn(
    place: Place,
    delivery: OwedDelivery,
    signal: AbortSignal,
    release: (delivery: OwedDelivery) => void,
    origin: Origin,
  ): Promise<Outcome> {
    const { subscriptionId } = delivery;
    underWay.set(subscriptionId, (underWay.get(subscriptionId) ?? 0) + 1);
    let left = false;
    const leave = (status: AttemptStatus | null, durationMs: number) => {
      left = true;
      receiverLimits.leave(place, status, durationMs);
      release(delivery);
    };
    try {
      return await courier.attempt(delivery, signal, leave, origin);
    } finally {
      if (!left) leave(null, 0);
      const others = (underWay.get(subscriptionId) ?? 1) - 1;
      if (others === 0) underWay.delete(subscriptionId);
      else underWay.set(subscriptionId, others);
    }
  }

  return {
    deliver: (job, signal, bulk) => deliver(job, signal, bulk),
    deliverAnnounced: (job, worker, signal) => deliver(job, signal, false, worker),
    async deliverHandedOver(delivery, signal, isOurs, release) {
      limiter.watch();
      // Deliveries without an attempt get jobs, as in handBack.
      await attemptOrHold(delivery, signal, isOurs, false, release, []);
    },
    async deliverHeld(delivery, signal, mayBegin) {
      limiter.watch();
      const place = await enter(delivery, 'backlog');
      if (place === null) return 'untouched';
      return await attemptIn(place, delivery, signal, () => {}, { from: 'backlog', mayBegin });
    },
    stopBeginning() {
      stopping = true;
      limiter.stop();
    },
    attemptsUnderWay: () => [...underWay],
  };
}

function taken(): DeliveryTakenError {
  return new DeliveryTakenError(
    'This worker was silent for long, and another may have the delivery',
  );
}

function keyOf(webhookId: string, subscriptionId: number): string {
  return `${webhookId}.${subscriptionId}`;
}
