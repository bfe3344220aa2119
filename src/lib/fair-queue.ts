import { mayTake } from './fair-share.ts';

/** What a queue may hold, all owners together. */
export interface FairQueueLimits {
  readonly maxItems: number;
  readonly maxWeight: number;
}

interface Line<T> {
  readonly items: T[];
  weight: number;
}

/**
 * Items of many owners, taken in turns: an owner with thousands of items delays another's only item by
 * one of its own. Items of one owner are taken in the order in which they came.
 */
export class FairQueue<Owner, T extends { readonly weight: number }> {
  /** Those whose turn is next come first. */
  readonly #lines = new Map<Owner, Line<T>>();
  readonly #limits: FairQueueLimits;
  readonly #shared: boolean;
  #size = 0;
  #weight = 0;

  /** @param shared whether one owner is to leave room for others, rather than may fill the queue. */
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

  /** Adds an item, unless there is no room for it. Returns whether it was added. */
  push(owner: Owner, item: T): boolean {
    const line = this.#lines.get(owner);
    if (!this.#hasRoom(line, item.weight)) return false;
    this.#size += 1;
    this.#weight += item.weight;
    if (line === undefined) this.#lines.set(owner, { items: [item], weight: item.weight });
    else {
      line.items.push(item);
      line.weight += item.weight;
    }
    return true;
  }

  /**
   * Takes items while they are within both limits, one at least.
   *
   * @param alone whether all of them are to be of one owner.
   */
  take(maxItems: number, maxWeight: number, alone: boolean): T[] {
    const taken: T[] = [];
    let weight = 0;
    for (const [owner, line] of this.#lines) {
      // Alone, or the only one there is: no turns to be taken.
      const most = alone || this.#lines.size === 1 ? maxItems : 1;
      let count = 0;
      for (const item of line.items) {
        if (count === most || taken.length === maxItems) break;
        if (taken.length > 0 && weight + item.weight > maxWeight) break;
        taken.push(item);
        weight += item.weight;
        line.weight -= item.weight;
        count += 1;
      }
      if (count === 0) break;
      this.#lines.delete(owner);
      if (count < line.items.length) {
        line.items.splice(0, count);
        // Back at the end: this loop comes to it again after all others have had their turn.
        this.#lines.set(owner, line);
      }
      if (alone || taken.length === maxItems) break;
    }
    this.#size -= taken.length;
    this.#weight -= weight;
    return taken;
  }

  #hasRoom(line: Line<T> | undefined, weight: number): boolean {
    const { maxItems, maxWeight } = this.#limits;
    const [items, ownWeight] =
      this.#shared && line !== undefined ? [line.items.length, line.weight] : [0, 0];
    if (!mayTake(1, items, this.#size, maxItems)) return false;
    // Something larger than the limit is let in alone rather than never.
    return this.#size === 0 || mayTake(weight, ownWeight, this.#weight, maxWeight);
  }
}
