import type { AttemptStatus } from '../db/types.ts';
import {
  countAnswer,
  countTimeout,
  createReceiverWindow,
  type ReceiverWindow,
} from './receiver-window.ts';
import type { ReceiverKind } from './total-limit.ts';

/** Receivers that answer within this time are quick: a share of all places is for them alone. */
const QUICK_MS = 1_000;
/** A receiver that timed out so often in a row is unproven again. */
const MAX_TIMEOUTS = 3;

/** The right to have one request open, from `enter` until `leave`. */
export interface Place {
  readonly receiver: Receiver;
  readonly tenant: string;
  /** The receiver's kind when the place was given. */
  readonly kind: ReceiverKind;
  /** The bytes of the request's body. */
  readonly bytes: number;
  /** The round of the receiver's window in which the request began. */
  readonly round: number;
}

/** A delivery in memory that waits for a place. */
export interface WaitingDelivery {
  readonly bytes: number;
  readonly since: number;
  readonly resolve: (place: Place | null) => void;
}

/** The state of a receiver, which is known by its subscription, and its requests in flight. */
export interface Receiver {
  readonly id: number;
  /** The tenant of its last delivery: the subscription's, or empty where a payload is missing. */
  tenant: string;
  /** The adaptive limit of its requests in flight. */
  readonly window: ReceiverWindow;
  /** The fixed limit that its subscription sets, in place of the window. */
  pinned: number | null;
  inFlight: number;
  waiting: WaitingDelivery[];
  /** It has answered, and has not timed out several times in a row since. */
  proven: boolean;
  timeoutsInARow: number;
  meanMs: number;
  /** Answers in this tick, and in the previous one. */
  answersThisTick: number;
  answersLastTick: number;
  /** Stalled: new deliveries are held instead of queued. */
  stalled: boolean;
  /** Its backlog must go first: deliveries from the queue are held. */
  backlogged: boolean;
  usedAt: number;
}

export function createReceiver(id: number): Receiver {
  return {
    id,
    tenant: '',
    window: createReceiverWindow(),
    pinned: null,
    inFlight: 0,
    waiting: [],
    proven: false,
    timeoutsInARow: 0,
    meanMs: 0,
    answersThisTick: 0,
    answersLastTick: 0,
    stalled: false,
    backlogged: false,
    usedAt: 0,
  };
}

export const windowOf = (receiver: Receiver) => receiver.pinned ?? receiver.window.size;

export const kindOf = ({ proven, meanMs }: Receiver): ReceiverKind => ({
  quick: proven && meanMs < QUICK_MS,
  proven,
});

/** Returns how many requests it answers in a tick. */
export const answersPerTick = ({ answersThisTick, answersLastTick }: Receiver) =>
  Math.max(answersThisTick, answersLastTick);

export function beginTick(receiver: Receiver): void {
  receiver.answersLastTick = receiver.answersThisTick;
  receiver.answersThisTick = 0;
}

/**
 * Notes what the end of a request says about its receiver.
 *
 * @param windowWasFull the receiver had as many requests in flight as it may have.
 * @param round the round of its window in which the request began.
 */
export function noteResult(
  receiver: Receiver,
  status: AttemptStatus,
  durationMs: number,
  windowWasFull: boolean,
  round: number,
  now: number,
): void {
  if (status === 'timeout') {
    receiver.timeoutsInARow += 1;
    if (receiver.timeoutsInARow >= MAX_TIMEOUTS) receiver.proven = false;
    countTimeout(receiver.window, now);
    return;
  }
  // Any answer counts, also one that refuses.
  receiver.answersThisTick += 1;
  receiver.timeoutsInARow = 0;
  receiver.proven = true;
  receiver.stalled = false;
  receiver.meanMs = receiver.meanMs === 0 ? durationMs : receiver.meanMs * 0.9 + durationMs * 0.1;
  countAnswer(receiver.window, windowWasFull, round, receiver.meanMs, now);
}
