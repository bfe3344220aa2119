/** In which order deliveries stand: what has gone wrong, what waits after a failure, what waits, what is done. */
export function rankOf({
  state,
  attempts_made,
}: {
  readonly state: string;
  readonly attempts_made: number;
}): number {
  if (state === 'failed') return 0;
  if (state === 'held' || state === 'pending') return attempts_made > 0 ? 1 : 2;
  return state === 'cancelled' ? 3 : 4;
}

/** True: the delivery will change by itself, or can be cancelled. */
export function isUnfinished({ state }: { readonly state: string }): boolean {
  return state === 'pending' || state === 'held';
}
