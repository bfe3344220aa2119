/** Random numbers that a seed decides. */
export interface Random {
  /** In [0, 1), as `Math.random()`. */
  next(): number;
  /** A whole number below `below`. */
  below(below: number): number;
  /** The time until the next of many rare things, exponentially distributed. */
  exponential(mean: number): number;
  /** Log-normally distributed, with this median and this spread of its logarithm. */
  logNormal(median: number, spread: number): number;
}

/** Creates the generator Mulberry32. @param seed a whole number below 2³². */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
  return {
    next,
    below: (below) => Math.floor(next() * below),
    exponential: (mean) => -mean * Math.log(1 - next()),
    logNormal(median, spread) {
      const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
      return median * Math.exp(spread * normal);
    },
  };
}
