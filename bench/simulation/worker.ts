import pino from 'pino';
import { createSender } from '../../src/backlog/sender.ts';
import { createLimiter } from '../../src/concurrency/limiter.ts';
import type { Settings } from '../../src/config/settings.ts';
import { createPatience } from '../../src/db/retry-while-unavailable.ts';
import { NO_SESSION, type Session } from '../../src/db/session.ts';
import type { DeliverJob } from '../../src/deliveries/jobs.sql.ts';
import { createCircuits } from '../../src/health/circuits.ts';
import type { HttpClient } from '../../src/http/http-client.ts';
import type { Loop } from '../../src/lib/loop-health.ts';
import { createSealer } from '../../src/lib/sealing.ts';
import { createCourier, type MadeAttempt } from '../../src/sending/courier.ts';
import { createDeliverer } from '../../src/sending/deliverer.ts';
import { createLargeBodies } from '../../src/sending/large-bodies.ts';
import type { Recorder } from '../../src/sending/recorder.ts';
import { createSubscriptionCache } from '../../src/subscriptions/cache.ts';
import type { SimulatedClock } from './clock.ts';
import { BODY, createDatabase, type DatabaseOptions } from './database.ts';
import type { Delivery } from './store.ts';

/** A result is recorded when those that end within 20 ms of each other are (recorder.ts), and the group is committed. */
const RECORDED_MS = 15;
/** The pauses between rounds, as backlogs.ts has them if a round takes 2 ms. */
const ROUND_PAUSE_MS = 10;
const IDLE_MS = 60_000;

export interface WorkerOptions extends DatabaseOptions {
  readonly settings: Settings;
  readonly maxInFlight: number;
  readonly client: HttpClient;
  readonly onAttempt: (attempt: MadeAttempt) => void;
  /** Deliveries of this subscription were held here: the owner of the backlog is told. */
  readonly onHeld: (subscriptionId: number) => void;
}

/** A worker process. */
export interface Worker {
  /** Takes a webhook that was accepted here into memory. Returns false if there is no room. */
  takeAccepted(delivery: Delivery): boolean;
  /** Runs a job of the queue. */
  run(delivery: Delivery): Promise<void>;
  /** The subscription has changed, or deliveries of it were held: this process owns its backlog. */
  look(subscriptionId: number): void;
  /** Gives up backlogs that have held nothing for a minute, as the sweep of backlogs.ts does. */
  releaseIdle(): void;
  /** The subscription has changed. */
  forget(subscriptionId: number): void;
  /** Requests in flight. */
  readonly inFlight: number;
  readonly jobs: number;
}

const LOOP: Loop = {
  succeeded() {},
  failed(error) {
    throw error;
  },
};

/** Puts a worker together as src/app/worker.ts does, from the same parts, with a simulated database and client. */
export function createWorker(options: WorkerOptions): Worker {
  const { clock, store, random, settings, client, onAttempt, onHeld } = options;
  const log = pino({ level: 'silent' });
  const ending = new AbortController().signal;
  const patience = createPatience(ending);
  const pool = createDatabase(options);
  const limiter = createLimiter(options.maxInFlight);
  const { receiverLimits, memory } = limiter;
  const session: Session = { ...NO_SESSION, connected: true };
  const subscriptions = createSubscriptionCache(pool, session, createSealer([]), LOOP);
  const circuits = createCircuits({
    ...{ pool, subscriptions, patience, ending, log },
    loop: LOOP,
    policy: settings.circuit,
    disableAfterMs: settings.disableAfterMs,
    onClosed: (subscriptionId) => receiverLimits.startSlowly(subscriptionId),
  });
  const recorder: Recorder = {
    record: (result) =>
      new Promise((resolve) => {
        clock.after(RECORDED_MS, () => {
          store.record(result);
          resolve();
        });
      }),
    hasRoom: () => true,
    isUnrecorded: () => false,
  };
  const courier = createCourier({
    ...{ pool, subscriptions, client, recorder, circuits, patience, log, onAttempt },
    largeBodies: createLargeBodies({ pool, sizesPool: pool, patience, maxBodyBytes: BODY.length }),
    schedule: settings.retrySchedule,
    timeoutMs: settings.deliveryTimeoutMs,
    random: random.next,
  });
  const deliverer = createDeliverer({
    ...{ pool, courier, limiter, patience, loadLoop: LOOP, holdLoop: LOOP },
    claim: () => () => true,
    onHeld: (ids) => {
      for (const id of ids) onHeld(id);
    },
  });
  const rounds = createRounds(clock, async () => {
    const { empty } = await sender.sendReady();
    // As backlogs.ts does when the row of `backlogs` is deleted, or deliveries were held meanwhile.
    for (const id of empty) {
      if (store.subscriptions.get(id)?.held.size !== 0) sender.look(id);
      else if (sender.remove(id)) sender.add(id);
    }
  });
  const sender = createSender({
    ...{ pool, receiverLimits, memory, subscriptions, loop: LOOP, readLoop: LOOP },
    attempt: (delivery, mayBegin) => deliverer.deliverHeld(delivery, ending, mayBegin),
    stillOwns: () => true,
    wake: rounds.wake,
    mayRecord: () => true,
  });
  let jobs = 0;

  return {
    takeAccepted(delivery) {
      const { id, subscriptionId, dueAt } = delivery;
      const bytes = BODY.length;
      if (memory.addAccepted(1, bytes, false) === 0) return false;
      const tenant = store.subscriptions.get(subscriptionId)?.tenant ?? '';
      const owed = {
        ...{ webhookId: id, subscriptionId, tenant, dueAt, bytes, body: BODY },
        ...{ attemptCount: 0, scheduleOffset: 0, probeCount: 0, handedTo: null, ownBody: false },
        ...{ contentType: 'application/json', sourceHeaders: null, problem: null },
      };
      let inMemory = true;
      const release = () => {
        if (inMemory) memory.release('queue', 1, bytes);
        inMemory = false;
      };
      void deliverer.deliverHandedOver(owed, ending, () => true, release).finally(release);
      return true;
    },
    async run({ id, subscriptionId, attemptCount }) {
      jobs += 1;
      const job: DeliverJob = {
        ...{ attempt: attemptCount + 1, bytes: BODY.length },
        ...{ webhooks: [id], subscriptions: [subscriptionId] },
      };
      await deliverer.deliver(job, ending, false);
      jobs -= 1;
    },
    look(id) {
      if (sender.has(id) || store.subscriptions.get(id)?.held.size !== 0) sender.add(id);
    },
    releaseIdle() {
      for (const id of sender.idleFor(IDLE_MS)) if (sender.remove(id)) sender.add(id);
    },
    forget: (id) => subscriptions.drop(id),
    get inFlight() {
      return receiverLimits.inFlight;
    },
    get jobs() {
      return jobs;
    },
  };
}

/** Runs rounds one after another, as the loop of backlogs.ts does. */
function createRounds(clock: SimulatedClock, round: () => Promise<void>) {
  let dueAt = Number.POSITIVE_INFINITY;
  let running = false;

  function wake(delayMs: number): void {
    const at = clock.now + delayMs;
    if (at >= dueAt) return;
    dueAt = at;
    if (!running) clock.after(delayMs, run);
  }

  function run(): void {
    // Another call of `wake` came first.
    if (running || clock.now < dueAt) return;
    running = true;
    dueAt = Number.POSITIVE_INFINITY;
    void round().then(() => {
      running = false;
      if (dueAt === Number.POSITIVE_INFINITY) return;
      dueAt = Math.max(dueAt, clock.now + ROUND_PAUSE_MS);
      clock.after(dueAt - clock.now, run);
    });
  }

  return { wake };
}
