/** Counts jobs that wait for memory, by the subscriptions of their deliveries. */
export interface WaitingJobs {
  /** Counts a job as waiting until `admitted` settles. */
  add(subscriptionIds: readonly number[], admitted: Promise<void>): Promise<void>;
  /** Returns whether a delivery to any other subscription waits. */
  othersWait(subscriptionId: number): boolean;
}

export function createWaitingJobs(): WaitingJobs {
  let jobs = 0;
  /** Jobs that are for one subscription alone, by subscription. */
  const jobsForOne = new Map<number, number>();

  return {
    async add(subscriptionIds, admitted) {
      const [first] = subscriptionIds;
      const soleSubscription = subscriptionIds.every((id) => id === first) ? first : undefined;
      jobs += 1;
      if (soleSubscription !== undefined)
        jobsForOne.set(soleSubscription, (jobsForOne.get(soleSubscription) ?? 0) + 1);
      try {
        await admitted;
      } finally {
        jobs -= 1;
        if (soleSubscription !== undefined) {
          const left = (jobsForOne.get(soleSubscription) as number) - 1;
          if (left === 0) jobsForOne.delete(soleSubscription);
          else jobsForOne.set(soleSubscription, left);
        }
      }
    },
    othersWait: (subscriptionId) => jobs > (jobsForOne.get(subscriptionId) ?? 0),
  };
}
