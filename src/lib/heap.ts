/** Gives the least of what is in it first. */
export interface Heap<T> {
  push(item: T): void;
  /** The least, which stays; undefined when there is none. */
  peek(): T | undefined;
  pop(): T | undefined;
  clear(): void;
  readonly size: number;
}

/**
 * A binary heap. The order of what is in it must not change.
 *
 * @param isLess whether the first of two comes before the second.
 */
export function createHeap<T>(isLess: (a: T, b: T) => boolean): Heap<T> {
  const items: T[] = [];

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

  return {
    push(item) {
      let at = items.length;
      items.push(item);
      while (at > 0) {
        const parent = (at - 1) >> 1;
        if (!isLess(item, items[parent] as T)) break;
        items[at] = items[parent] as T;
        at = parent;
      }
      items[at] = item;
    },
    peek: () => items[0],
    pop() {
      const least = items[0];
      const last = items.pop();
      if (items.length > 0) sink(last as T);
      return least;
    },
    clear() {
      items.length = 0;
    },
    get size() {
      return items.length;
    },
  };
}
