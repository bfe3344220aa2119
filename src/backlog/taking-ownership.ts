import type pg from 'pg';
import { mayBeOfRows } from '../db/availability.ts';
import { isolate } from '../lib/isolate.ts';
import type { Loop } from '../lib/loop-health.ts';
import { pauseAfter } from '../lib/pause-after.ts';
import { takeBacklogs } from './ownership.sql.ts';
import type { Sender } from './sender.ts';

/** A backlog that another process owns is not asked for again for this time. */
const ELSEWHERE_MS = 5_000;
/** A backlog that was left to other processes is taken back if none of them has it after this time. */
const LEFT_MS = 5_000;
/** A process owns at most so many backlogs; beyond that it gives up those it has had for `TURN_MS`. */
const MAX_OWNED = 20_000;
const TURN_MS = 60_000;
/** A backlog that cannot be taken is tried again after a growing pause, at most this. */
const MAX_UNTAKEN_MS = 15_000;

export interface OwnershipTakingOptions {
  readonly pool: pg.Pool;
  readonly sender: Pick<Sender, 'add' | 'giveUpAfter' | 'has' | 'look' | 'size'>;
  /** Returns the id under which this process owns backlogs at this moment. */
  readonly ownerNow: () => string | undefined;
  /** Asks for a round in so many milliseconds. */
  readonly wake: (delayMs: number) => void;
  /** Told of each backlog that cannot be taken, and when there is none any more. */
  readonly loop: Loop;
}

/** Takes the ownership of backlogs that notifications name. */
export interface OwnershipTaking {
  /** Deliveries of these subscriptions were held, or the subscriptions changed. */
  notice(ids: Iterable<number>, mayBeFree: boolean): void;
  /** Leaves these backlogs to other processes: they are not asked for a while, even if they are free. */
  leaveToOthers(ids: Iterable<number>): void;
  /** Forgets which backlogs other processes owned a while ago. */
  forgetElsewhere(): void;
  /** Asks for the backlogs that were notified, and adds those that were taken to the sender. */
  run(ownerId: string): Promise<void>;
}

export function createOwnershipTaking({
  pool,
  sender,
  ownerNow,
  wake,
  loop,
}: OwnershipTakingOptions): OwnershipTaking {
  /** Subscriptions to ask for, and when. */
  const noticed = new Map<number, number>();
  /** Subscriptions whose backlogs have another owner, and until when they are not asked for again. */
  const ownedElsewhere = new Map<number, number>();
  /** Subscriptions whose backlogs other processes should take, and until when they are left to these. */
  const leftToOthers = new Map<number, number>();
  /** Subscriptions whose backlogs could not be taken: failures in a row, and the next try. */
  const failedTakes = new Map<number, { failures: number; again: number }>();

  async function takeSome(ownerId: string, ids: number[]): Promise<void> {
    const now = performance.now();
    const found = await takeBacklogs(pool, ownerId, ids);
    for (const id of ids) failedTakes.delete(id);
    if (ownerId !== ownerNow()) return;
    for (const id of found.ownedElsewhere) ownedElsewhere.set(id, now + ELSEWHERE_MS);
    for (const id of found.taken) {
      ownedElsewhere.delete(id);
      sender.add(id);
    }
  }

  /** Plans the rounds for subscriptions that may not be asked for yet. */
  function wakeForLater(now: number): void {
    for (const at of noticed.values()) if (at > now) wake(at - now);
  }

  return {
    forgetElsewhere() {
      const now = performance.now();
      for (const until of [ownedElsewhere, leftToOthers])
        for (const [id, at] of until) if (at < now) until.delete(id);
    },
    leaveToOthers(ids) {
      const until = performance.now() + LEFT_MS;
      for (const id of ids) leftToOthers.set(id, until);
    },
    notice(ids, mayBeFree) {
      const now = performance.now();
      for (const id of ids) {
        if (sender.has(id)) {
          sender.look(id);
          continue;
        }
        const free = mayBeFree ? 0 : (ownedElsewhere.get(id) ?? 0);
        const at = Math.max(now, failedTakes.get(id)?.again ?? 0, free, leftToOthers.get(id) ?? 0);
        noticed.set(id, Math.min(at, noticed.get(id) ?? at));
        wake(at - now);
      }
    },
    async run(ownerId) {
      const now = performance.now();
      const ids = [...noticed].filter(([, at]) => at <= now).map(([id]) => id);
      wakeForLater(now);
      if (ids.length === 0) return;
      if (sender.size >= MAX_OWNED) return sender.giveUpAfter(TURN_MS);
      const asked = ids.slice(0, MAX_OWNED - sender.size);
      // Removed before the statement, so that a notification during it asks again.
      for (const id of asked) noticed.delete(id);
      try {
        const { errors, untried } = await isolate(
          asked,
          (group) => takeSome(ownerId, group),
          mayBeOfRows,
        );
        for (const id of untried) noticed.set(id, now);
        for (const [id, error] of errors) {
          loop.failed(error, { subscriptionId: id });
          const failures = (failedTakes.get(id)?.failures ?? 0) + 1;
          const again = now + pauseAfter(failures, MAX_UNTAKEN_MS);
          failedTakes.set(id, { failures, again });
          noticed.set(id, again);
        }
      } catch (error) {
        for (const id of asked) noticed.set(id, now);
        throw error;
      }
      if (failedTakes.size === 0) loop.succeeded();
      wakeForLater(now);
    },
  };
}
