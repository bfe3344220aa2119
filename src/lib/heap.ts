/** Gives the least of what is in it first. */
export interface Heap<T> {
  push(item: T): void;
  /** The least, which stays; undefined when there is none. */
  peek(): T | undefined;
  pop(): T | undefined;
  /** Takes out one that few are greater than; undefined when there is none. */
  popLate(): T | undefined;
  /** Takes out one that is in it, once. */
  delete(item: T): void;
  readonly size: number;
}

/** So many that were deleted may stay in memory, beyond as many as there are. */
const MAX_GONE = 64;

/**
 * A binary heap. The order of what is in it must not change.
 *
 * @param isLess whether the first of two comes before the second.
 */
export function createHeap<T>(isLess: (a: T, b: T) => boolean): Heap<T> {
  let items: T[] = [];
  /** Deleted, and passed over when it comes up. */
  const gone = new Set<T>();

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

  function passGone(): void {
    while (gone.size > 0 && gone.delete(items[0] as T)) takeLeast();
  }

  return {
    push: rise,
    peek() {
      passGone();
      return items[0];
    },
    pop() {
      passGone();
      return takeLeast();
    },
    popLate() {
      // A leaf: none of those on its way to the root is greater.
      let last = items.pop();
      while (last !== undefined && gone.delete(last)) last = items.pop();
      return last;
    },
    delete(item) {
      gone.add(item);
      if (gone.size <= MAX_GONE || gone.size * 2 <= items.length) return;
      const left = items.filter((one) => !gone.has(one));
      gone.clear();
      items = [];
      for (const one of left) rise(one);
    },
    get size() {
      return items.length - gone.size;
    },
  };
}
