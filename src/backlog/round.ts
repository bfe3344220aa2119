import type pg from 'pg';
import type { DeliveryMemory } from '../concurrency/delivery-memory.ts';
import type { ReceiverLimits } from '../concurrency/receiver-limit.ts';
import { loadedBytesOf, loadOwed, type OwedDelivery } from '../deliveries/load.sql.ts';
import type { MayBegin, Outcome } from '../sending/courier.ts';
import type { CachedSubscription, SubscriptionCache } from '../subscriptions/cache.ts';
import { type Backlog, lookUpSubscriptions } from './backlog.ts';
import type { FailingBacklogs } from './failing-backlogs.ts';
import { findProbes } from './find-probes.sql.ts';
import { type AttemptsInFlight, createAttemptsInFlight } from './in-flight.ts';
import { maySend } from './may-send.ts';
import { type Modes, READY } from './modes.ts';
import { createNextMode, NO_PLACE, UNRECORDED_MS } from './next-mode.ts';
import type { Reader } from './reader.ts';
import type { Reading } from './reading.ts';

/** When a backlog for which there was no memory is visited again. */
const NO_MEMORY_MS = 100;

export interface RoundOptions {
  readonly pool: pg.Pool;
  readonly receiverLimits: ReceiverLimits;
  readonly memory: DeliveryMemory;
  readonly subscriptions: SubscriptionCache;
  readonly reader: Reader<Backlog>;
  readonly modes: Modes<Backlog>;
  readonly failing: FailingBacklogs;
  /** Makes the attempt of a held delivery; settles when it is recorded. */
  readonly attempt: (delivery: OwedDelivery, mayBegin: MayBegin) => Promise<Outcome>;
  readonly mayRecord: (subscriptionId: number) => boolean;
  /** Returns whether this process still owns the backlog. */
  readonly owns: (backlog: Backlog) => boolean;
  /** An attempt of this backlog has ended. */
  readonly onEnded: (backlog: Backlog) => void;
  /** Asks for a round in so many milliseconds. */
  readonly wake: (delayMs: number) => void;
}

export interface Round {
  /**
   * Sends the deliveries of these backlogs for which there is room, and sets their next modes.
   *
   * @returns backlogs that hold no delivery and need no row in `backlogs` any more.
   */
  run(backlogs: readonly Backlog[]): Promise<Backlog[]>;
  readonly attempts: AttemptsInFlight;
}

/** A delivery that was chosen to be sent. */
interface Chosen {
  readonly backlog: Backlog;
  readonly webhookId: string;
  /** Null: it is a probe. */
  readonly reading: Reading | null;
}

/** The result of sending in one round. */
interface Sent {
  readonly started: Map<Backlog, number>;
  readonly outOfMemory: Set<Backlog>;
}

/** One round over several backlogs: decide, read on, choose, load, begin attempts, decide again. */
export function createRound(options: RoundOptions): Round {
  const { pool, receiverLimits, memory, subscriptions, reader, modes, failing } = options;
  const { attempt, mayRecord, owns, onEnded, wake } = options;
  const attempts = createAttemptsInFlight(memory);
  const nextMode = createNextMode({ receiverLimits, attempts, mayRecord });

  async function run(backlogs: readonly Backlog[]): Promise<Backlog[]> {
    const subscriptionOf = await lookUpSubscriptions(pool, subscriptions, backlogs);
    const sending = new Map<Backlog, number>();
    const probing: Backlog[] = [];
    const now = performance.now();
    for (const backlog of backlogs) {
      if (!owns(backlog)) continue;
      const mode = nextMode.before(backlog, subscriptionOf.get(backlog) ?? null, now);
      modes.setMode(backlog, mode);
      if (mode.kind === 'sending') sending.set(backlog, mode.most);
      if (mode.kind === 'probing') probing.push(backlog);
    }
    try {
      const [probes] = await Promise.all([
        chooseProbes(probing, subscriptionOf),
        reader.read(sending, now),
      ]);
      const sent = await send(sending, probes);
      for (const backlog of [...sending.keys(), ...probing]) failing.roundSucceeded(backlog);
      return decideAfter(sending, probing, sent, subscriptionOf);
    } catch (error) {
      for (const backlog of [...sending.keys(), ...probing]) {
        const { kind } = backlog.mode;
        if (kind === 'sending' || kind === 'probing') modes.setMode(backlog, READY);
      }
      throw error;
    }
  }

  async function chooseProbes(
    probing: readonly Backlog[],
    subscriptionOf: ReadonlyMap<Backlog, CachedSubscription | null>,
  ): Promise<Chosen[]> {
    if (probing.length === 0) return [];
    const probes = await findProbes(
      pool,
      probing.map((backlog) => ({
        subscriptionId: backlog.id,
        strict: subscriptionOf.get(backlog)?.ordering === 'strict',
      })),
    );
    return probing.flatMap((backlog) => {
      const webhookId = probes.get(backlog.id);
      return webhookId === undefined ? [] : [{ backlog, webhookId, reading: null }];
    });
  }

  /** Chooses the next deliveries, loads them and begins their attempts. */
  async function send(
    sending: ReadonlyMap<Backlog, number>,
    probes: readonly Chosen[],
  ): Promise<Sent> {
    const now = performance.now();
    const sent: Sent = { started: new Map(), outOfMemory: new Set() };
    const room = attempts.room();
    const chosen = new Map<string, Chosen>();
    const choose = (one: Chosen) => chosen.set(`${one.webhookId}.${one.backlog.id}`, one);
    for (const probe of probes) {
      room.take(1);
      choose(probe);
    }
    for (const [backlog, most] of sending) {
      const reading = backlog.reading as Reading;
      const free = room.atMost(most);
      const ids = free === 0 ? [] : reading.sendOrder.next(free, now);
      if (free < most && ids.length >= free) sent.outOfMemory.add(backlog);
      room.take(ids.length);
      for (const webhookId of ids) choose({ backlog, webhookId, reading });
    }
    if (chosen.size === 0) return sent;
    const keys = {
      webhooks: [...chosen.values()].map(({ webhookId }) => webhookId),
      subscriptions: [...chosen.values()].map(({ backlog }) => backlog.id),
    };
    try {
      for (const delivery of await loadOwed(pool, keys, 'held')) {
        const key = `${delivery.webhookId}.${delivery.subscriptionId}`;
        const found = chosen.get(key);
        if (found === undefined) continue;
        chosen.delete(key);
        begin(found, delivery);
        sent.started.set(found.backlog, (sent.started.get(found.backlog) ?? 0) + 1);
      }
      // The others are no longer held: they were cancelled, or this process lost its ownership.
      for (const { webhookId, reading } of chosen.values())
        reading?.sendOrder.settled(webhookId, null);
      return sent;
    } catch (error) {
      for (const { webhookId, reading } of chosen.values())
        reading?.sendOrder.settled(webhookId, now);
      throw error;
    } finally {
      room.release();
    }
  }

  function begin({ backlog, reading }: Chosen, delivery: OwedDelivery): void {
    const { id, rate } = backlog;
    rate.take(performance.now());
    const mayBegin: MayBegin = (subscription) => {
      const { allowed } = maySend(subscription);
      // An attempt that waited for a place since before the circuit opened is no probe.
      const allowedNow = allowed === 'all' || (allowed === 'probe' && reading === null);
      return allowedNow && owns(backlog);
    };
    const recorded = attempt(delivery, mayBegin).then(
      (outcome) => {
        failing.attemptSucceeded(backlog);
        return outcome;
      },
      (error: unknown): Outcome => {
        failing.attemptFailed(backlog, error);
        return 'untouched';
      },
    );
    attempts.add(id, loadedBytesOf(delivery), recorded, (outcome) => {
      reading?.sendOrder.settled(delivery.webhookId, dueAfter(outcome));
      if (reading === null && backlog.mode.kind === 'probing') modes.setMode(backlog, READY);
      if (outcome === 'untouched' && PAUSABLE.has(backlog.mode.kind))
        modes.setMode(backlog, NO_PLACE);
      onEnded(backlog);
    });
  }

  function decideAfter(
    sending: ReadonlyMap<Backlog, number>,
    probing: readonly Backlog[],
    { started, outOfMemory }: Sent,
    subscriptionOf: ReadonlyMap<Backlog, CachedSubscription | null>,
  ): Backlog[] {
    for (const backlog of probing) {
      if (started.has(backlog) || backlog.mode.kind !== 'probing') continue;
      modes.setMode(backlog, nextMode.withoutProbe(backlog));
    }
    const empty: Backlog[] = [];
    for (const [backlog, most] of sending) {
      // Something happened since the round began, and the next one visits it again.
      if (backlog.mode.kind !== 'sending') continue;
      const subscription = subscriptionOf.get(backlog) ?? null;
      const noRoomLeft = (started.get(backlog) ?? 0) >= most;
      if (outOfMemory.has(backlog)) {
        // An attempt of any backlog that ends looks again sooner; deliveries from the queue wake nobody.
        modes.setMode(backlog, READY);
        wake(NO_MEMORY_MS);
        continue;
      }
      const mode = nextMode.after(backlog, subscription, noRoomLeft);
      modes.setMode(backlog, mode);
      if (mode.kind === 'ready') modes.stir(backlog);
      const holdsNothing = mode.kind === 'waiting' && mode.reason === 'deliveries';
      if (holdsNothing && !subscription?.throughBacklog) empty.push(backlog);
    }
    return empty;
  }

  return { run, attempts };
}

/** Modes from which a pause may follow. */
const PAUSABLE: ReadonlySet<string> = new Set(['ready', 'sending', 'waiting']);

/** Returns when a delivery is due again, by the clock of `performance.now()`; null: it has ended. */
function dueAfter(outcome: Outcome): number | null {
  if (outcome === 'untouched') return performance.now();
  if (outcome === 'unrecorded') return performance.now() + UNRECORDED_MS;
  if (typeof outcome === 'string' || outcome.state !== 'held') return null;
  return performance.now() + (outcome.retryInMs ?? 0);
}
