/** Numbers in as little memory as they need: 16 to 32 bytes each, where a Set takes twice that and more. */
export interface NumberSet {
  /** Returns false when it is full, and the number not in it. */
  add(value: number): boolean;
  has(value: number): boolean;
  readonly size: number;
}

const FIRST_CAPACITY = 1_024;

/**
 * A set of numbers that are spread evenly in their lowest 32 bits, as hashes are.
 *
 * @param most it takes no more than that.
 */
export function createNumberSet(most: number): NumberSet {
  let size = 0;
  // NaN is what no number is equal to, and so an empty place.
  let places = new Float64Array(FIRST_CAPACITY).fill(Number.NaN);

  /** Where it is, or would be. */
  function placeOf(value: number): number {
    const mask = places.length - 1;
    let at = value & mask;
    for (;;) {
      const there = places[at] as number;
      if (there === value || Number.isNaN(there)) return at;
      at = (at + 1) & mask;
    }
  }

  function grow(): void {
    const before = places;
    places = new Float64Array(before.length * 2).fill(Number.NaN);
    for (const value of before) if (!Number.isNaN(value)) places[placeOf(value)] = value;
  }

  return {
    add(value) {
      if (this.has(value)) return true;
      if (size >= most) return false;
      if (size * 2 >= places.length) grow();
      places[placeOf(value)] = value;
      size += 1;
      return true;
    },
    has: (value) => places[placeOf(value)] === value,
    get size() {
      return size;
    },
  };
}
