import type { MadeAttempt } from '../../src/sending/courier.ts';
import type { SimulatedClock } from './clock.ts';
import { createHistogram, type Histogram } from './histogram.ts';
import { AWAY, KINDS, type Kind, type Receiver } from './receivers.ts';
import type { Workload } from './simulate.ts';
import type { Store } from './store.ts';
import type { Worker } from './worker.ts';

const SAMPLE_MS = 1_000;
const SECOND_MS = 1_000;

/** The figures of the receivers of one kind. Durations are in milliseconds. */
export interface KindFigures {
  readonly kind: Kind;
  readonly receivers: number;
  readonly accepted: number;
  readonly requests: number;
  /** Requests that did not deliver. */
  readonly failedRequests: number;
  /** Seconds that requests were in flight, together. */
  readonly placeSeconds: number;
  readonly circuitsOpened: number;
  /** The most held deliveries, and how many there were at the end; retries that waited at the end. */
  readonly mostHeld: number;
  readonly heldAtEnd: number;
  readonly retryingAtEnd: number;
  /** From due to the beginning of the request, of first attempts that did not come through a backlog. */
  readonly waitedP99: number | null;
  /** From accepted to delivered. */
  readonly deliveredP50: number | null;
  readonly deliveredP99: number | null;
  /** The most requests that a receiver had in flight, from all workers. */
  readonly mostInFlight: number;
}

/** How a receiver went on that was back. */
export interface Recovery {
  readonly perSecond: number;
  /** Deliveries that were held when it came back. */
  readonly held: number;
  /** Until its first request, and until no delivery was held; null: not by the end. */
  readonly foundMs: number | null;
  readonly sentMs: number | null;
  readonly mostInFlight: number;
  /** Requests at once that it works on. */
  readonly places: number;
  readonly failedRequests: number;
}

export interface Figures {
  readonly workload: Workload;
  readonly kinds: readonly KindFigures[];
  readonly recoveries: readonly Recovery[];
  readonly meanInFlight: number;
  readonly mostInFlight: number;
  readonly accepted: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Unfinished deliveries at the very end. */
  readonly unfinished: number;
  readonly requests: number;
  /** Webhooks that a receiver accepted twice, and results that were recorded too late. */
  readonly doubled: number;
  readonly late: number;
  /** The most requests of a worker, and to a subscription with a limit of its own. */
  readonly mostOfWorker: number;
  readonly mostPinned: number;
}

interface Counting {
  accepted: number;
  requests: number;
  failed: number;
  placeMs: number;
  opened: number;
  held: number;
  mostHeld: number;
  mostInFlight: number;
  readonly waited: Histogram;
  readonly delivered: Histogram;
}

interface Back {
  held: number;
  foundMs: number | null;
  sentMs: number | null;
  mostInFlight: number;
  failed: number;
}

export function createFigures(
  clock: SimulatedClock,
  receivers: readonly Receiver[],
  workload: Workload,
) {
  const counting = new Map<Kind, Counting>(KINDS.map((kind) => [kind, begin()]));
  const kindOf = (id: number) => receivers[id - 1]?.kind ?? 'healthy';
  const of = (kind: Kind) => counting.get(kind) as Counting;
  const inFlight = new Map<number, number>();
  const ofWorker = new Map<number, number>();
  const delivered = new Set<string>();
  const back = new Map<number, Back>();
  let store: Store | undefined;
  let workers: readonly Worker[] = [];
  let doubled = 0;
  let mostOfWorker = 0;
  let mostPinned = 0;
  let sumInFlight = 0;
  let samples = 0;
  let mostInFlight = 0;
  let ended: { heldAtEnd: Map<Kind, number>; retryingAtEnd: Map<Kind, number> } | undefined;

  function sample(): void {
    if (ended !== undefined) return;
    const now = workers.reduce((sum, worker) => sum + worker.inFlight, 0);
    sumInFlight += now;
    samples += 1;
    mostInFlight = Math.max(mostInFlight, now);
    for (const count of counting.values()) count.held = 0;
    for (const { id, held } of store?.subscriptions.values() ?? [])
      if (held.size > 0) of(kindOf(id)).held += held.size;
    for (const count of counting.values()) count.mostHeld = Math.max(count.mostHeld, count.held);
    for (const [id, one] of back)
      if (one.sentMs === null && one.foundMs !== null && heldOf(id) === 0)
        one.sentMs = clock.now - AWAY.untilMs;
    clock.after(SAMPLE_MS, sample);
  }

  const heldOf = (id: number) => store?.subscriptions.get(id)?.held.size ?? 0;

  return {
    watch(itsStore: Store, itsWorkers: readonly Worker[]): void {
      store = itsStore;
      workers = itsWorkers;
      clock.after(SAMPLE_MS, sample);
      clock.after(AWAY.untilMs, () => {
        if (ended !== undefined) return;
        for (const { id, kind } of receivers)
          if (kind === 'away for an hour (503)')
            back.set(id, {
              held: heldOf(id),
              foundMs: null,
              sentMs: null,
              mostInFlight: 0,
              failed: 0,
            });
      });
    },
    accepted(id: number): void {
      of(kindOf(id)).accepted += 1;
    },
    circuitOpened(id: number): void {
      of(kindOf(id)).opened += 1;
    },
    requestBegan({ id, kind }: Receiver, worker: number): void {
      const now = (inFlight.get(id) ?? 0) + 1;
      inFlight.set(id, now);
      const here = (ofWorker.get(worker) ?? 0) + 1;
      ofWorker.set(worker, here);
      mostOfWorker = Math.max(mostOfWorker, here);
      if (store?.subscriptions.get(id)?.maxInFlight != null) mostPinned = Math.max(mostPinned, now);
      const count = of(kind);
      if (ended === undefined) count.requests += 1;
      count.mostInFlight = Math.max(count.mostInFlight, now);
      const one = back.get(id);
      if (one === undefined) return;
      one.foundMs ??= clock.now - AWAY.untilMs;
      one.mostInFlight = Math.max(one.mostInFlight, now);
    },
    /** @param deliveredId the webhook that it delivered, or null. */
    requestEnded(
      { id, kind }: Receiver,
      worker: number,
      deliveredId: string | null,
      ms: number,
    ): void {
      inFlight.set(id, (inFlight.get(id) as number) - 1);
      ofWorker.set(worker, (ofWorker.get(worker) as number) - 1);
      const count = of(kind);
      if (deliveredId === null) {
        if (ended === undefined) count.failed += 1;
        const one = back.get(id);
        if (one !== undefined) one.failed += 1;
      } else {
        if (delivered.has(deliveredId)) doubled += 1;
        delivered.add(deliveredId);
        const delivery = store?.deliveries.get(deliveredId);
        if (delivery !== undefined) count.delivered.add(clock.now - delivery.acceptedAt);
      }
      if (ended === undefined) count.placeMs += ms;
    },
    attempt({ subscriptionId, attemptNumber, waitedMs, from }: MadeAttempt): void {
      if (attemptNumber === 1 && from === 'queue') of(kindOf(subscriptionId)).waited.add(waitedMs);
    },
    /** The workload is over. */
    end(): void {
      const heldAtEnd = new Map<Kind, number>();
      const retryingAtEnd = new Map<Kind, number>();
      for (const { subscriptionId, state, attemptCount } of store?.deliveries.values() ?? []) {
        const kind = kindOf(subscriptionId);
        if (state === 'held') heldAtEnd.set(kind, (heldAtEnd.get(kind) ?? 0) + 1);
        else if (attemptCount > 0) retryingAtEnd.set(kind, (retryingAtEnd.get(kind) ?? 0) + 1);
      }
      ended = { heldAtEnd, retryingAtEnd };
    },
    read(): Figures {
      const kinds = KINDS.map((kind): KindFigures => {
        const count = of(kind);
        return {
          kind,
          receivers: receivers.filter((receiver) => receiver.kind === kind).length,
          accepted: count.accepted,
          requests: count.requests,
          failedRequests: count.failed,
          placeSeconds: count.placeMs / SECOND_MS,
          circuitsOpened: count.opened,
          mostHeld: count.mostHeld,
          heldAtEnd: ended?.heldAtEnd.get(kind) ?? 0,
          retryingAtEnd: ended?.retryingAtEnd.get(kind) ?? 0,
          waitedP99: count.waited.quantile(0.99),
          deliveredP50: count.delivered.quantile(0.5),
          deliveredP99: count.delivered.quantile(0.99),
          mostInFlight: count.mostInFlight,
        };
      });
      return {
        workload,
        kinds,
        recoveries: [...back].map(([id, { failed, ...one }]) => ({
          perSecond: receivers[id - 1]?.perSecond ?? 0,
          ...one,
          places: receivers[id - 1]?.freeAt.length ?? 0,
          failedRequests: failed,
        })),
        meanInFlight: sumInFlight / Math.max(1, samples),
        mostInFlight,
        accepted: kinds.reduce((sum, { accepted }) => sum + accepted, 0),
        succeeded: store?.counts.succeeded ?? 0,
        failed: store?.counts.failed ?? 0,
        unfinished: store?.deliveries.size ?? 0,
        requests: kinds.reduce((sum, { requests }) => sum + requests, 0),
        doubled,
        late: store?.counts.late ?? 0,
        mostOfWorker,
        mostPinned,
      };
    },
  };
}

function begin(): Counting {
  return {
    ...{ accepted: 0, requests: 0, failed: 0, placeMs: 0, opened: 0 },
    ...{ held: 0, mostHeld: 0, mostInFlight: 0 },
    waited: createHistogram(),
    delivered: createHistogram(),
  };
}
