/** A collection that returns its least item first. */
export interface Heap<T> {
  push(item: T): void;
  /** Returns the least item without removing it; undefined if the heap is empty. */
  peek(): T | undefined;
  pop(): T | undefined;
  /** Removes an item that few others are greater than; undefined if the heap is empty. */
  popLate(): T | undefined;
  /** Removes an item, which must be in the heap exactly once. */
  delete(item: T): void;
  readonly size: number;
}

/** Deleted items that may stay in memory even in a small heap. */
const MAX_DELETED = 64;

/**
 * Creates a binary heap. The order of its items must not change.
 *
 * @param isLess returns true if the first item comes before the second.
 */
export function createHeap<T>(isLess: (a: T, b: T) => boolean): Heap<T> {
  let items: T[] = [];
  /** Deleted items, which are skipped when they become the least. */
  const deleted = new Set<T>();

  function rise(item: T): void {
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isLess(item, items[parent] as T)) break;
      items[at] = items[parent] as T;
      at = parent;
    }
    items[at] = item;
  }

  function sink(item: T): void {
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && isLess(items[child + 1] as T, items[child] as T)) child += 1;
      if (!isLess(items[child] as T, item)) break;
      items[at] = items[child] as T;
      at = child;
    }
    items[at] = item;
  }

  function takeLeast(): T | undefined {
    const least = items[0];
    const last = items.pop();
    if (items.length > 0) sink(last as T);
    return least;
  }

  function dropDeleted(): void {
    while (deleted.size > 0 && deleted.delete(items[0] as T)) takeLeast();
  }

  return {
    push: rise,
    peek() {
      dropDeleted();
      return items[0];
    },
    pop() {
      dropDeleted();
      return takeLeast();
    },
    popLate() {
      // The last item is a leaf: none of the items on its way to the root is greater.
      let last = items.pop();
      while (last !== undefined && deleted.delete(last)) last = items.pop();
      return last;
    },
    delete(item) {
      deleted.add(item);
      if (deleted.size <= MAX_DELETED || deleted.size * 2 <= items.length) return;
      const remaining = items.filter((candidate) => !deleted.has(candidate));
      deleted.clear();
      items = [];
      for (const remainingItem of remaining) rise(remainingItem);
    },
    get size() {
      return items.length - deleted.size;
    },
  };
}
