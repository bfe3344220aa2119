/** The jobs that wait until there is memory for their deliveries, and whom those go to. */
export interface Crowd {
  /** Counts a job among those that wait, until `admitted` resolves. */
  join(subscriptionIds: readonly number[], admitted: Promise<void>): Promise<void>;
  /** Whether a delivery to any other subscription waits. */
  othersWait(subscriptionId: number): boolean;
}

export function createCrowd(): Crowd {
  let jobs = 0;
  /** How many of them are for one subscription alone, by subscription. */
  const alone = new Map<number, number>();

  return {
    async join(subscriptionIds, admitted) {
      const [first] = subscriptionIds;
      const only = subscriptionIds.every((id) => id === first) ? first : undefined;
      jobs += 1;
      if (only !== undefined) alone.set(only, (alone.get(only) ?? 0) + 1);
      try {
        await admitted;
      } finally {
        jobs -= 1;
        if (only !== undefined) {
          const left = (alone.get(only) as number) - 1;
          if (left === 0) alone.delete(only);
          else alone.set(only, left);
        }
      }
    },
    othersWait: (subscriptionId) => jobs > (alone.get(subscriptionId) ?? 0),
  };
}
