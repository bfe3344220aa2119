/**
 * How far a reader of events has come: everything up to these rows is done, and nothing after them. Each of the
 * three kinds of rows has an order of its own, so each has a place of its own.
 */
export interface Position {
  /** The last webhook. */
  readonly webhook: string;
  /** The last delivery, by its webhook. */
  readonly deliveryOf: string;
  readonly deliveryTo: number;
  /** True: the second event of this delivery is missing. */
  readonly deliveryOpen: boolean;
  /** The last attempt: when it ended, in microseconds since 1970, and its id. */
  readonly attemptAt: number;
  readonly attempt: string;
  /** True: the second event of this attempt is missing. */
  readonly attemptOpen: boolean;
}

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const POSITION = new RegExp(
  `^(${UUID})\\.(${UUID})\\.(\\d{1,10})\\.([01])\\.(\\d{1,16})\\.(\\d{1,18})\\.([01])$`,
);
const MAX_INTEGER = 2_147_483_647;
/** After every id of an attempt. */
const AFTER_ATTEMPTS = '999999999999999999';

/** Writes a position as text, which is opaque to clients. */
export function writePosition(position: Position): string {
  const { webhook, deliveryOf, deliveryTo, deliveryOpen, attemptAt, attempt, attemptOpen } =
    position;
  return `${webhook}.${deliveryOf}.${deliveryTo}.${Number(deliveryOpen)}.${attemptAt}.${attempt}.${Number(attemptOpen)}`;
}

/** Reads a position back; undefined: the text is not one. */
export function readPosition(text: string): Position | undefined {
  const [, webhook, deliveryOf, deliveryTo, deliveryOpen, attemptAt, attempt, attemptOpen] =
    POSITION.exec(text) ?? [];
  if (
    webhook === undefined ||
    deliveryOf === undefined ||
    attempt === undefined ||
    Number(deliveryTo) > MAX_INTEGER ||
    Number(attemptAt) > Number.MAX_SAFE_INTEGER
  )
    return undefined;
  return {
    webhook,
    deliveryOf,
    deliveryTo: Number(deliveryTo),
    deliveryOpen: deliveryOpen === '1',
    attemptAt: Number(attemptAt),
    attempt,
    attemptOpen: attemptOpen === '1',
  };
}

/** Returns the position just before a moment, in microseconds since 1970: all that happened before it is done. */
export function positionBefore(us: number): Position {
  const last = lastIdBefore(Math.floor(us / 1000));
  return {
    webhook: last,
    deliveryOf: last,
    deliveryTo: MAX_INTEGER,
    deliveryOpen: false,
    attemptAt: Math.max(0, us - 1),
    attempt: AFTER_ATTEMPTS,
    attemptOpen: false,
  };
}

/** Returns true if all that is done at the second position is done at the first one too. */
export function covers(position: Position, other: Position): boolean {
  return (
    position.webhook >= other.webhook &&
    (position.deliveryOf > other.deliveryOf ||
      (position.deliveryOf === other.deliveryOf && position.deliveryTo >= other.deliveryTo)) &&
    (position.attemptAt > other.attemptAt ||
      (position.attemptAt === other.attemptAt && BigInt(position.attempt) >= BigInt(other.attempt)))
  );
}

/** Returns the largest id of the millisecond before. */
function lastIdBefore(ms: number): string {
  if (ms <= 0) return '00000000-0000-0000-0000-000000000000';
  const hex = (ms - 1).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-ffff-ffff-ffffffffffff`;
}
