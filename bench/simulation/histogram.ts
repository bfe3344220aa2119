/** Counts durations, so that quantiles can be told to about 2 %. */
export interface Histogram {
  add(ms: number): void;
  /** Returns the duration below which this share is; null if there is none. */
  quantile(share: number): number | null;
  readonly count: number;
}

const STEPS_PER_FACTOR_OF_E = 50;

export function createHistogram(): Histogram {
  const counts: number[] = [];
  let count = 0;
  return {
    add(ms) {
      const step = Math.round(Math.log(ms + 1) * STEPS_PER_FACTOR_OF_E);
      counts[step] = (counts[step] ?? 0) + 1;
      count += 1;
    },
    quantile(share) {
      let left = share * count;
      for (const [step, inStep = 0] of counts.entries()) {
        left -= inStep;
        if (left <= 0 && inStep > 0) return Math.exp(step / STEPS_PER_FACTOR_OF_E) - 1;
      }
      return null;
    },
    get count() {
      return count;
    },
  };
}
