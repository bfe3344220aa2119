import type { AttemptResult } from '../../src/deliveries/record.sql.ts';
import type { CircuitRow, Circuits } from './circuit-rules.ts';
import type { SimulatedClock } from './clock.ts';
import { createHeldList, type HeldList } from './held.ts';

/** Until a change is notified to the other processes. */
const NOTIFY_MS = 5;

/** A delivery that is unfinished. A webhook has one delivery here, so its id names both. */
export interface Delivery {
  readonly id: string;
  readonly subscriptionId: number;
  readonly acceptedAt: number;
  state: 'pending' | 'held';
  attemptCount: number;
  probeCount: number;
  dueAt: number;
}

/** A subscription, as far as it differs from others. */
export interface Subscription {
  readonly id: number;
  readonly tenant: string;
  readonly maxInFlight: number | null;
  readonly held: HeldList;
}

/** Stands for the tables `deliveries`, `subscriptions` and `circuits`. */
export interface Store {
  readonly deliveries: ReadonlyMap<string, Delivery>;
  readonly subscriptions: ReadonlyMap<number, Subscription>;
  readonly circuits: Circuits;
  /** Webhooks that ended, and results that were refused because the delivery had another number of attempts. */
  readonly counts: { succeeded: number; failed: number; late: number };
  /** Accepts a webhook. It is held from the start if its subscription has to go through its backlog. */
  accept(subscriptionId: number): Delivery;
  hold(id: string, attemptCount: number): void;
  record(result: AttemptResult): void;
  /** Changes a row of `circuits`, and notifies as the triggers `follow_circuit` do. */
  changeCircuit(subscriptionId: number, change: (circuits: Circuits) => void): void;
  throughBacklog(subscriptionId: number): boolean;
}

export interface StoreOptions {
  readonly clock: SimulatedClock;
  readonly subscriptions: readonly Omit<Subscription, 'held'>[];
  /** Called when the queue has to try a delivery at a time. */
  readonly onRetry: (delivery: Delivery) => void;
  /** Called with a subscription whose row, or whose row of `circuits`, has changed. */
  readonly onChange: (subscriptionId: number) => void;
}

export function createStore({ clock, onRetry, onChange, ...options }: StoreOptions): Store {
  const deliveries = new Map<string, Delivery>();
  const circuits: Circuits = new Map();
  const counts = { succeeded: 0, failed: 0, late: 0 };
  const subscriptions = new Map<number, Subscription>(
    options.subscriptions.map((one) => [one.id, { ...one, held: createHeldList() }]),
  );
  let accepted = 0;
  const heldOf = ({ subscriptionId }: Delivery) =>
    (subscriptions.get(subscriptionId) as Subscription).held;
  const isOpen = (row: CircuitRow | undefined) => (row?.openedAt ?? null) !== null;
  const throughBacklog = (id: number) =>
    isOpen(circuits.get(id)) || subscriptions.get(id)?.maxInFlight != null;

  function setState(delivery: Delivery, state: Delivery['state']): void {
    if (delivery.state === state) return;
    delivery.state = state;
    if (state === 'held') heldOf(delivery).add(delivery.id);
    else heldOf(delivery).delete(delivery.id);
  }

  function end(delivery: Delivery, as: 'succeeded' | 'failed'): void {
    if (delivery.state === 'held') heldOf(delivery).delete(delivery.id);
    deliveries.delete(delivery.id);
    counts[as] += 1;
  }

  return {
    deliveries,
    subscriptions,
    circuits,
    counts,
    throughBacklog,
    accept(subscriptionId) {
      accepted += 1;
      const delivery: Delivery = {
        id: idOf(Date.now(), accepted),
        subscriptionId,
        acceptedAt: clock.now,
        state: 'pending',
        attemptCount: 0,
        probeCount: 0,
        dueAt: clock.now,
      };
      deliveries.set(delivery.id, delivery);
      if (throughBacklog(subscriptionId)) setState(delivery, 'held');
      return delivery;
    },
    hold(id, attemptCount) {
      const delivery = deliveries.get(id);
      if (delivery?.attemptCount === attemptCount) setState(delivery, 'held');
    },
    record({ webhookId, attemptNumber, state, retryInMs }) {
      const delivery = deliveries.get(webhookId);
      if (delivery === undefined || delivery.attemptCount !== attemptNumber - 1) {
        counts.late += 1;
        return;
      }
      delivery.attemptCount = attemptNumber;
      if (state === 'succeeded' || state === 'failed') return end(delivery, state);
      if (retryInMs === null) {
        delivery.probeCount += 1;
        return;
      }
      delivery.dueAt = clock.now + retryInMs;
      setState(delivery, state);
      if (state === 'pending') onRetry(delivery);
    },
    changeCircuit(subscriptionId, change) {
      const before = circuits.get(subscriptionId);
      const probeAt = before?.probeAt;
      change(circuits);
      const after = circuits.get(subscriptionId);
      if (before !== after || probeAt !== after?.probeAt)
        clock.after(NOTIFY_MS, () => onChange(subscriptionId));
    },
  };
}

/** Returns a UUIDv7; those of later webhooks are greater. */
function idOf(ms: number, count: number): string {
  const time = ms.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${count.toString(16).padStart(12, '0')}`;
}
