import { createRandom as createGenerator } from '../../../bench/simulation/random.ts';

/** Random choices that a seed determines, so that a run can be repeated. */
export interface Random {
  /** A whole number from `min` to `max`, both included. */
  between(min: number, max: number): number;
  pick<Item>(items: readonly Item[]): Item;
}

/** @param seed a whole number below 2³². */
export function createRandom(seed: number): Random {
  const { next } = createGenerator(seed);
  const between = (min: number, max: number) => min + Math.floor(next() * (max - min + 1));
  return {
    between,
    pick: <Item>(items: readonly Item[]) => items[between(0, items.length - 1)] as Item,
  };
}
