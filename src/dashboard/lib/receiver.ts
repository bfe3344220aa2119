/** Names the receiver of a subscription: its URL, or that it pulls. */
export function receiverOf(url: string | null): string {
  return url ?? 'Pull';
}
