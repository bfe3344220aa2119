/** True: the delivery will change by itself, or can be cancelled. */
export function isUnfinished({ state }: { readonly state: string }): boolean {
  return state === 'pending' || state === 'held';
}
