import { Type } from 'typebox';
import { nullable, oneOf, Timestamp } from './common.ts';

export const Circuit = Type.Object({
  state: oneOf(
    ['closed', 'open', 'half_open'],
    'closed: deliveries are sent. open: deliveries are held until next_probe_at. half_open: a probe (one trial delivery) is due or in flight.',
  ),
  opened_at: nullable(Timestamp),
  next_probe_at: nullable(Timestamp),
});

export const FailingSince = nullable({
  ...Timestamp,
  description:
    'The time of the first failed attempt since the last success. Null until three attempts in a row have failed.',
});
