/** The held deliveries of a subscription: ids of webhooks, the oldest first. */
export interface HeldList {
  readonly size: number;
  add(id: string): void;
  delete(id: string): void;
  /** Returns the next ids after one (null: from the oldest), at most so many. */
  after(id: string | null, most: number): string[];
}

/** Few more than the living ones are kept of a long list. */
const MIN_DEAD = 1_000;

export function createHeldList(): HeldList {
  let ids: string[] = [];
  const living = new Set<string>();

  /** Returns the place of the first id that is not less. */
  function placeOf(id: string): number {
    let from = 0;
    let to = ids.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((ids[middle] as string) < id) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  return {
    get size() {
      return living.size;
    },
    add(id) {
      living.add(id);
      const place = placeOf(id);
      if (ids[place] !== id) ids.splice(place, 0, id);
    },
    delete(id) {
      living.delete(id);
      if (ids.length > 2 * living.size + MIN_DEAD) ids = ids.filter((one) => living.has(one));
    },
    after(id, most) {
      const found: string[] = [];
      let at = id === null ? 0 : placeOf(id);
      for (; at < ids.length && found.length < most; at++) {
        const one = ids[at] as string;
        if (one !== id && living.has(one)) found.push(one);
      }
      return found;
    },
  };
}
