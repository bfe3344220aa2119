const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Returns the id of a webhook from what somebody typed: its id, or the id of one of its deliveries. */
export function webhookIdIn(text: string): string | undefined {
  const id = text.trim().toLowerCase().split('.')[0] ?? '';
  return UUID.test(id) ? id : undefined;
}

/** When a webhook was accepted: the time in its id (RFC 9562, 5.7). */
export function timeOfId(id: string): string {
  return new Date(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toISOString();
}
