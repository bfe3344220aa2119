/** An owner may have at most this many times as much as it leaves free. */
const MAX_SHARE_OF_FREE = 4;

/**
 * Returns true if an owner, such as a tenant, may take more of a limited resource. One greedy owner alone gets
 * 80 % of it, two get 44 % each. Some is always left for the next owner, who may take it all (Choudhury and
 * Hahne, "Dynamic queue length thresholds", 1998).
 *
 * @param own the amount that the owner has.
 * @param used the amount that all owners have, this one included.
 */
export function mayTake(more: number, own: number, used: number, max: number): boolean {
  if (used + more > max) return false;
  return own === 0 || own + more <= MAX_SHARE_OF_FREE * (max - used - more);
}

/**
 * Returns how many units an owner may take at once, so that it leaves some to others. An owner that has none
 * may take one while any is free.
 */
export function mostToTake(own: number, used: number, max: number): number {
  const free = max - used;
  const first = own === 0 && free >= 1 ? 1 : 0;
  return Math.max(first, Math.floor((MAX_SHARE_OF_FREE * free - own) / (MAX_SHARE_OF_FREE + 1)));
}

/** Returns the amount that an owner gets while no other owner has any. */
export function shareOfOne(max: number): number {
  return Math.floor((max * MAX_SHARE_OF_FREE) / (MAX_SHARE_OF_FREE + 1));
}
