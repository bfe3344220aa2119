import type { Task } from 'graphile-worker';
import type { DeliverJob } from '../src/deliveries/jobs.sql.ts';
import type { Deliverer } from '../src/sending/deliverer.ts';

/** The `deliver` task: makes the attempts that its job names. */
export function deliverTask(deliverer: Deliverer): Task {
  return async (payload, { abortSignal, job }) => {
    await deliverer.deliver(payload as DeliverJob, abortSignal, job.priority > 0);
  };
}
