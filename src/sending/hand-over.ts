import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { DeliveryMemory } from '../concurrency/delivery-memory.ts';
import { TIMEOUT_MS } from '../db/pool.ts';
import type { Patience } from '../db/retry-while-unavailable.ts';
import { handOverName, requeueHandedOver } from '../deliveries/handed-over.sql.ts';
import type { OwedDelivery } from '../deliveries/load.sql.ts';
import type { HandedOver, IncomingWebhook } from '../intake/accept.sql.ts';
import type { HandOver, Reservation } from '../intake/intake.ts';
import type { Loop } from '../lib/loop-health.ts';

/** Larger bodies are freed as soon as they are committed (lib/free-buffer.ts), so that they need no memory here. */
const MAX_BODY_BYTES = 16 * 1024 - 1;
/** Deliveries for which room is kept, for each webhook that is sent by event type. */
const FAN_OUT = 10;
/** Nothing is handed over if the lease of this process ends sooner: another worker could send it meanwhile. */
const MIN_LEASE_MS = 10_000;

/** Knows which workers are alive (maintenance/worker-lease.ts). */
interface Lease {
  register(name: string): Promise<void>;
  leaveBehind(name: string): void;
  readonly leaseLeftMs: number;
  onTakenForDead(listener: (names: readonly string[]) => void): void;
}

export interface HandOverOptions {
  readonly pool: pg.Pool;
  readonly memory: DeliveryMemory;
  readonly lease: Lease;
  readonly patience: Patience;
  /** Told how the hand-over is registered, which deliveries fail, and how jobs are added for those that nobody knows of. */
  readonly loop: Loop;
  /** Sends a delivery that is in memory, and calls `release` as soon as it is no longer there. */
  readonly deliver: (delivery: OwedDelivery, release: () => void) => Promise<void>;
}

export interface WorkerHandOver extends HandOver {
  start(): void;
  /** Hands nothing over from now on; resolves when the deliveries in memory have ended. */
  stop(): Promise<void>;
}

/**
 * Gives deliveries from intake to the sender in the same process. The webhook has just been in memory, so
 * it is not loaded again, and there is no job to add, to notify, to take and to complete: a lone webhook takes
 * two transactions, its acceptance and its result.
 *
 * The queue stays what everything else goes through: whatever has no room in memory, is larger than 16 KiB, is
 * retried, or comes from SQL or from a process without a worker.
 *
 * `deliveries.handed_to` has the number of the worker, and `posthorn.workers` a row for it. When the process ends
 * in any way, another worker finds the row dead, and adds jobs for the deliveries (requeueHandedOver). The same is
 * done if the database does not answer whether webhooks were committed. Until then nothing more is handed over.
 */
export function createHandOver(options: HandOverOptions): WorkerHandOver {
  const { pool, memory, lease, patience, loop, deliver } = options;
  /** The webhooks in memory, and how many deliveries each still has. */
  const inMemory = new Map<string, number>();
  /** Reservations of webhooks that are being committed. */
  let reserved = 0;
  let number: number | undefined;
  /** The numbers under which deliveries may have been committed that are not in memory. */
  const uncertain = new Set<number>();
  let stopped = false;
  let onIdle: (() => void)[] = [];

  /** Tries until it is registered, or the process stops. */
  async function register(): Promise<void> {
    while (!stopped) {
      const next = randomInt(1, 2 ** 31);
      try {
        await lease.register(handOverName(next));
        number = next;
        loop.succeeded();
        return;
      } catch (error) {
        if (stopped) return;
        await sleep(loop.failed(error), undefined, { ref: false });
      }
    }
  }

  function begin({ id, webhook, subscriptionId }: HandedOver): void {
    const bytes = webhook.body.length;
    let released = false;
    const release = () => {
      if (released) return;
      released = true;
      memory.release('queue', 1, bytes);
    };
    inMemory.set(id, (inMemory.get(id) ?? 0) + 1);
    void deliver(owedOf(id, webhook, subscriptionId), release)
      // The delivery is found as a lost one.
      .catch((error: unknown) => void loop.failed(error, { webhookId: id, subscriptionId }))
      .finally(() => {
        release();
        const left = (inMemory.get(id) as number) - 1;
        if (left === 0) inMemory.delete(id);
        else inMemory.set(id, left);
        tellIdle();
      });
  }

  function tellIdle(): void {
    if (reserved > 0 || inMemory.size > 0) return;
    for (const resolve of onIdle) resolve();
    onIdle = [];
  }

  /** Adds jobs for deliveries that were committed, and whose webhooks are not in memory. */
  async function findUnknown(): Promise<void> {
    const find = () =>
      patience(() => requeueHandedOver(pool, [...uncertain], [...inMemory.keys()]), loop);
    try {
      await find();
      // The statement whose connection was lost may still have been running, and was committed since.
      await sleep(TIMEOUT_MS, undefined, { ref: false });
      if (!stopped) await find();
      loop.succeeded();
    } catch (error) {
      // They are found as lost deliveries, or by another worker when this process has ended.
      loop.failed(error);
    }
    uncertain.clear();
  }

  /** Returns the number under which deliveries are handed over now. */
  function currentNumber(): number | undefined {
    const isSafe = uncertain.size === 0 && !stopped && lease.leaseLeftMs >= MIN_LEASE_MS;
    return isSafe ? number : undefined;
  }

  lease.onTakenForDead((names) => {
    if (number === undefined || !names.includes(handOverName(number))) return;
    number = undefined;
    void register();
  });

  return {
    reserve(webhooks) {
      const worker = currentNumber();
      if (worker === undefined) return null;
      if (webhooks.some(({ body }) => body.length > MAX_BODY_BYTES)) return null;
      const byType = webhooks.filter(({ subscriptionId }) => subscriptionId === null).length;
      const bytes = webhooks.reduce((sum, { body }) => sum + body.length, 0);
      const room = memory.addAccepted(webhooks.length + byType * (FAN_OUT - 1), bytes);
      if (room === 0) return null;
      reserved += 1;
      return reservation(worker, room, bytes);
    },
    whenFree: (maxMs) => (currentNumber() === undefined ? undefined : memory.whenFree(maxMs)),
    start() {
      void register();
    },
    async stop() {
      stopped = true;
      if (reserved > 0 || inMemory.size > 0)
        await new Promise<void>((resolve) => onIdle.push(resolve));
      for (const worker of uncertain) lease.leaveBehind(handOverName(worker));
    },
  };

  function reservation(worker: number, room: number, bytes: number): Reservation {
    const end = () => {
      reserved -= 1;
      if (reserved === 0 && uncertain.size > 0) void findUnknown();
      tellIdle();
    };
    return {
      number: worker,
      room,
      begin(deliveries) {
        // A webhook's deliveries share its body, which counts for each of them from now on.
        const taken = deliveries.reduce((sum, { webhook }) => sum + webhook.body.length, 0);
        memory.release('queue', room - deliveries.length, bytes - taken);
        for (const delivery of deliveries) begin(delivery);
        end();
      },
      cancel(isKnown) {
        memory.release('queue', room, bytes);
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
    contentType,
    sourceHeaders: headers === null ? null : Object.entries(headers).flat(),
    bytes: body.length,
    body,
    ownBody: false,
    problem: null,
  };
}
