import type { Task } from 'graphile-worker';
import type { Deliverer, DeliverJob } from '../src/delivery/deliverer.ts';

/** The `deliver` task: makes the attempts that its job names. */
export function deliverTask(deliverer: Deliverer): Task {
  return async (payload, { abortSignal, job }) => {
    await deliverer.deliver(payload as DeliverJob, abortSignal, job.priority > 0);
  };
}
