// The states of a delivery, and every change of them. Statements that change a delivery are in the files *.sql.ts of
// this folder, which take the condition on its state from the table below, and in the SQL functions accept,
// accept_general, reopen and cancel_deliveries. test/deliveries/states.test.ts runs each on a delivery in each state.
//
//                 accept
//          ┌────────┴────────┐
//          ▼                 ▼
//       pending ── hold ──► held          pending: the queue sends it
//          │ ▲               │ ▲          held: the owner of the backlog sends it
//          │ └──── retry ────┤ │
//          ├────── retry ────┼─┘
//          │                 │
//          └───────┬─────────┘
//                  ├─ succeed ──────────────────────► succeeded ─┐
//                  ├─ fail, or from held: expire ───► failed     ├─ reopen ─► pending, held
//                  └─ cancel, skip ─────────────────► cancelled ─┘
//
// An expired delivery may have an attempt in flight. If that succeeds, the delivery becomes `succeeded`.
import { isIn } from '../db/planner.ts';
import type { DeliveryState } from '../db/types.ts';

/** A state, or `expired`: failed with the reason `expired`, without an attempt that decided it. */
export type From = DeliveryState | 'expired';

interface Transition {
  readonly from: readonly From[];
  /** `same`: the delivery changes, and its state does not. */
  readonly to: readonly DeliveryState[] | 'same';
}

/** All transitions that exist. A pair of states that is not here does not happen. */
export const TRANSITIONS = {
  /** Intake inserts it: held if it is due and the subscription's deliveries go through its backlog, else pending. */
  accept: { from: [], to: ['pending', 'held'] },
  /** It leaves the queue for the backlog: its receiver has no place, or its subscription has a rule. */
  hold: { from: ['pending'], to: ['held'] },
  /** It gets its job: a retry or a scheduled delivery has come near, or its job was lost. */
  wake: { from: ['pending'], to: 'same' },
  /** The database's clock was ahead when the time of its next attempt was set. */
  correctDue: { from: ['pending', 'held'], to: 'same' },
  /** An attempt succeeded. */
  succeed: { from: ['pending', 'held', 'expired'], to: ['succeeded'] },
  /** An attempt failed, and another follows: from the queue, or held with strict order or as a probe. */
  retry: { from: ['pending', 'held'], to: ['pending', 'held'] },
  /** The last attempt failed, or the receiver answered that it wants no more. */
  fail: { from: ['pending', 'held'], to: ['failed'] },
  /** An attempt was in flight while it was cancelled or expired: the attempt counts, and decides nothing. */
  countLate: { from: ['cancelled', 'expired'], to: 'same' },
  /** Its circuit has been open for longer than its retry schedule. */
  expire: { from: ['held'], to: ['failed'] },
  /** Its subscription was deleted, or a request cancels it. */
  cancel: { from: ['pending', 'held'], to: ['cancelled'] },
  /** Its subscription was enabled with backlog "skip". */
  skip: { from: ['held', 'pending'], to: ['cancelled'] },
  /** A retry or a replay by request. With `pending`: it waits for its next attempt, which is due now. */
  reopen: { from: ['pending', 'succeeded', 'failed', 'cancelled'], to: ['pending', 'held'] },
} as const satisfies Record<string, Transition>;

export type TransitionName = keyof typeof TRANSITIONS;

/**
 * SQL condition: the state of a delivery, which is found by its key, allows one of these transitions.
 *
 * @param delivery the name or alias of the table.
 */
export function stateAllows(delivery: string, ...names: readonly TransitionName[]): string {
  const from = new Set(names.flatMap((name): readonly From[] => TRANSITIONS[name].from));
  const states = isIn(delivery, ...[...from].filter((state) => state !== 'expired'));
  return from.has('expired') ? `(${states} or ${delivery}.reason = 'expired')` : states;
}

/**
 * SQL condition: a delivery has ended while an attempt was in flight, and the attempt only counts, although
 * its result would make this transition.
 *
 * It is for the new values of columns, where no index is chosen, and so it compares the enum.
 *
 * @param delivery the name or alias of the table.
 */
export function onlyCounts(delivery: string, name: 'succeed' | 'retry' | 'fail'): string {
  const decided: readonly From[] = TRANSITIONS[name].from;
  return TRANSITIONS.countLate.from
    .filter((state) => !decided.includes(state))
    .map((state) =>
      state === 'expired' ? `${delivery}.reason = 'expired'` : `${delivery}.state = '${state}'`,
    )
    .join(' or ');
}
