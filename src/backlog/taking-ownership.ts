import type pg from 'pg';
import { mayBeOfRows } from '../db/availability.ts';
import { isolate } from '../lib/isolate.ts';
import type { Loop } from '../lib/loop-health.ts';
import { pauseAfter } from '../lib/pause-after.ts';
import { takeBacklogs } from './ownership.sql.ts';
import type { Sender } from './sender.ts';

/** A backlog that somebody else was found to send is not asked for again before that. */
const ELSEWHERE_MS = 5_000;
/** A process sends so many backlogs at a time, and gives up those it has had for long for others. */
const MAX_OWNED = 20_000;
const TURN_MS = 60_000;
/** One that cannot be taken is tried again after a growing time, at most this. */
const MAX_UNTAKEN_MS = 15_000;

export interface OwnershipTakingOptions {
  readonly pool: pg.Pool;
  readonly sender: Pick<Sender, 'add' | 'giveUpAfter' | 'has' | 'look' | 'size'>;
  /** Who owns backlogs here at this moment. */
  readonly ownerNow: () => string | undefined;
  /** Called when a round may have something to do, in so many milliseconds. */
  readonly wake: (delayMs: number) => void;
  /** Told of each that cannot be taken, and when there is none any more. */
  readonly loop: Loop;
}

/** Which backlogs this process should ask for. */
export interface OwnershipTaking {
  /** Something was held, or changed, of these subscriptions. */
  notice(ids: Iterable<number>, mayBeFree: boolean): void;
  /** Forgets who else was found to send something a while ago. */
  forgetElsewhere(): void;
  /** Asks for those of which there was news, and gives the feeder what is its own now. */
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
  /** Those that have another owner, and until when they are not asked for again. */
  const ownedElsewhere = new Map<number, number>();
  /** Those that could not be taken: how often in a row, and when they are asked for again. */
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

  /** Plans the round that asks for what is not to be asked for yet. */
  function wakeForLater(now: number): void {
    for (const at of noticed.values()) if (at > now) wake(at - now);
  }

  return {
    forgetElsewhere() {
      const now = performance.now();
      for (const [id, until] of ownedElsewhere) if (until < now) ownedElsewhere.delete(id);
    },
    notice(ids, mayBeFree) {
      const now = performance.now();
      for (const id of ids) {
        if (sender.has(id)) {
          sender.look(id);
          continue;
        }
        const free = mayBeFree ? 0 : (ownedElsewhere.get(id) ?? 0);
        const at = Math.max(now, failedTakes.get(id)?.again ?? 0, free);
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
      // Those that are told of meanwhile are asked for again.
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
