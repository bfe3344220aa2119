// GET /v1/deliveries/{id}/why: every reason of src/why/reasons.ts, each brought about in a real service and read there.
// Rows are changed by SQL only where a reason needs time to pass (an hour, a year), or is a moment between two statements
// of a worker.
import t from 'tap';
import { REASONS } from '../../src/why/reasons.ts';
import { deliveriesHeldByCircuits } from './reasons/circuit.ts';
import { endedDeliveries } from './reasons/ended.ts';
import { seen } from './reasons/expect.ts';
import { deliveriesInWorkers } from './reasons/in-worker.ts';
import { deliveriesWithoutWorker } from './reasons/no-worker.ts';
import { deliveriesHeldByRules } from './reasons/rules.ts';
import { waitingDeliveries } from './reasons/waiting.ts';

t.test('deliveries that have ended', endedDeliveries);
t.test('deliveries that wait for a time, and those that are cancelled', waitingDeliveries);
t.test('deliveries that a worker or the queue has', deliveriesInWorkers);
t.test('deliveries that a rule of their subscription holds', deliveriesHeldByRules);
t.test('deliveries that an open circuit holds', deliveriesHeldByCircuits);
t.test('deliveries that no worker sends', deliveriesWithoutWorker);

t.test('every reason of every state was brought about', async (t) => {
  const all = Object.entries(REASONS).flatMap(([state, reasons]) =>
    reasons.map((reason) => `${state} ${reason}`),
  );
  t.strictSame([...seen].toSorted(), all.toSorted());
});
