/** Why deliveries are held outside the queue: what their subscription is, or asks for. */
export const HELD_REASONS = [
  'paused',
  'disabled',
  'pull',
  'circuit_open',
  'ordering',
  'rate_limit',
  'receiver_busy',
] as const;
export type HeldReason = (typeof HELD_REASONS)[number];

/** SQL: the reason for which deliveries of a subscription are held. `s` is a row of posthorn.subscriptions. */
export const heldReasonOf = (s: string): string => `case
  when ${s}.status in ('paused', 'disabled') then ${s}.status::text
  when ${s}.url is null then 'pull'
  when ${s}.circuit_open then 'circuit_open'
  when ${s}.ordering = 'strict' then 'ordering'
  when ${s}.rate_limit is not null or ${s}.max_in_flight is not null then 'rate_limit'
  else 'receiver_busy' end`;
