import { Type } from 'typebox';

/** Names the lease of a delivery that was pulled. */
export const LeaseToken = Type.String({
  minLength: 1,
  maxLength: 100,
  description: 'Names the delivery and this attempt of it, for acknowledging it.',
  examples: ['AYkKXayWd0u8zrMCCZqAVwAAAAE'],
});
