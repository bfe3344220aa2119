/** One owner may have four times what it leaves free. */
const SHARE = 4;

/**
 * Whether an owner, such as a tenant, may take more of something of which there is so much for all. A greedy
 * owner gets 80 % of it where it comes alone, two get 44 % each; some is always left for the next owner, who may
 * take it whatever it is (Choudhury and Hahne, "Dynamic queue length thresholds", 1998).
 *
 * @param own what the owner has.
 * @param used what all owners have, this one among them.
 */
export function mayTake(more: number, own: number, used: number, max: number): boolean {
  if (used + more > max) return false;
  return own === 0 || own + more <= SHARE * (max - used - more);
}

/** What an owner gets of it where it comes alone. */
export function shareOfOne(max: number): number {
  return Math.floor((max * SHARE) / (SHARE + 1));
}
