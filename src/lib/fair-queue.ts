import { mayTake } from './fair-share.ts';

/** The limits of a queue, for all owners together. */
interface FairQueueLimits {
  readonly maxItems: number;
  readonly maxWeight: number;
}

interface OwnerQueue<T> {
  readonly items: T[];
  weight: number;
}

/**
 * A queue from which owners' items are taken in turns: an owner with thousands of items delays another
 * owner's item by one item. Items of one owner are taken in the order in which they were added.
 */
export class FairQueue<Owner, T extends { readonly weight: number }> {
  /** In the order of the owners' turns. */
  readonly #owners = new Map<Owner, OwnerQueue<T>>();
  readonly #limits: FairQueueLimits;
  readonly #shared: boolean;
  #size = 0;
  #weight = 0;

  /** @param shared whether an owner must leave room for others; if not, one owner may fill the queue. */
  constructor(limits: FairQueueLimits, shared: boolean) {
    this.#limits = limits;
    this.#shared = shared;
  }

  get size(): number {
    return this.#size;
  }

  get weight(): number {
    return this.#weight;
  }

  /** Adds an item if there is room for it. Returns whether it was added. */
  push(owner: Owner, item: T): boolean {
    const line = this.#owners.get(owner);
    if (!this.#hasRoom(line, item.weight)) return false;
    this.#size += 1;
    this.#weight += item.weight;
    if (line === undefined) this.#owners.set(owner, { items: [item], weight: item.weight });
    else {
      line.items.push(item);
      line.weight += item.weight;
    }
    return true;
  }

  /**
   * Takes items within both limits, but at least one.
   *
   * @param alone whether all of them must belong to one owner.
   */
  take(maxItems: number, maxWeight: number, alone: boolean): T[] {
    const taken: T[] = [];
    let weight = 0;
    for (const [owner, line] of this.#owners) {
      // With one owner there are no turns.
      const maxOfOwner = alone || this.#owners.size === 1 ? maxItems : 1;
      let count = 0;
      for (const item of line.items) {
        if (count === maxOfOwner || taken.length === maxItems) break;
        if (taken.length > 0 && weight + item.weight > maxWeight) break;
        taken.push(item);
        weight += item.weight;
        line.weight -= item.weight;
        count += 1;
      }
      if (count === 0) break;
      this.#owners.delete(owner);
      if (count < line.items.length) {
        line.items.splice(0, count);
        // To the end, where this loop reaches it again after all others have had their turn.
        this.#owners.set(owner, line);
      }
      if (alone || taken.length === maxItems) break;
    }
    this.#size -= taken.length;
    this.#weight -= weight;
    return taken;
  }

  #hasRoom(line: OwnerQueue<T> | undefined, weight: number): boolean {
    const { maxItems, maxWeight } = this.#limits;
    const [items, ownWeight] =
      this.#shared && line !== undefined ? [line.items.length, line.weight] : [0, 0];
    if (!mayTake(1, items, this.#size, maxItems)) return false;
    // An item larger than the limit is let in when the queue is empty; otherwise it would never be.
    return this.#size === 0 || mayTake(weight, ownWeight, this.#weight, maxWeight);
  }
}
