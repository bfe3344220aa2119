/** A set of numbers in little memory: 16 to 32 bytes each, where a Set takes more than twice that. */
interface NumberSet {
  /** Adds a number. Returns false if the set is full and does not contain the number. */
  add(value: number): boolean;
  has(value: number): boolean;
  readonly size: number;
}

const FIRST_CAPACITY = 1_024;

/**
 * Creates a set for numbers whose lowest 32 bits are spread evenly, as in hashes.
 *
 * @param most the largest size.
 */
export function createNumberSet(most: number): NumberSet {
  let size = 0;
  // NaN marks an empty place, since no number equals it.
  let places = new Float64Array(FIRST_CAPACITY).fill(Number.NaN);

  /** Returns the place of a number, or the empty place where it would be. */
  function placeOf(value: number): number {
    const mask = places.length - 1;
    let at = value & mask;
    for (;;) {
      const stored = places[at] as number;
      if (stored === value || Number.isNaN(stored)) return at;
      at = (at + 1) & mask;
    }
  }

  function grow(): void {
    const oldPlaces = places;
    places = new Float64Array(oldPlaces.length * 2).fill(Number.NaN);
    for (const value of oldPlaces) if (!Number.isNaN(value)) places[placeOf(value)] = value;
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
