import type pg from 'pg';
import { LOCKS, TAKING_SPACE } from '../db/advisory-locks.ts';
import type { Session } from '../db/session.ts';
import { ANNOUNCEMENTS, readAnnouncement } from '../deliveries/announcement.ts';
import type { Taker } from '../sending/hand-over.ts';

/** While nothing is taken, it looks so often whether that has changed. */
const LOOK_AGAIN_MS = 500;

export interface OfferOptions {
  readonly session: Pick<Session, 'listen' | 'onConnect' | 'onLost'>;
  readonly taker: Taker;
  /** Called for each webhook that a session has handed over to this process. */
  readonly onAnnounced: () => void;
  /** Told how taking and giving back the lock goes. */
  readonly report: { succeeded(): void; failed(error: unknown): void };
}

/** Tells senders whether they may hand webhooks over to this process. */
export interface Offer {
  /**
   * Whether senders notify this process at all. Without notifications, webhooks have to go through the queue. Resolves
   * when senders can know it.
   */
  allow(isAllowed: boolean): Promise<void>;
  stop(): void;
}

/**
 * Holds two advisory locks while the process takes webhooks that other sessions send. The SQL function store_webhook
 * hands a webhook over only if they are held, and it sees at once that they were given back, whatever its snapshot.
 * The locks end with the database session of the process, so a process that is gone gets nothing.
 *
 * A sender may have found them held, and commits later. Its notification comes all the same; if there is no session
 * any more, the next session of the process searches for such webhooks, or another process does when this one is gone.
 *
 * @param options.session must not be started yet.
 */
export function createOffer({ session, taker, onAnnounced, report }: OfferOptions): Offer {
  let client: pg.Client | undefined;
  let isAllowed = false;
  /** The number whose locks this process holds. */
  let held: number | undefined;
  let changing: Promise<void> | undefined;
  let looking: NodeJS.Timeout | undefined;
  let stopped = false;

  session.listen(ANNOUNCEMENTS, (payload) => {
    const announcement = readAnnouncement(payload);
    if (announcement === undefined) return;
    onAnnounced();
    taker.announced(announcement);
  });
  session.onConnect(async (connected) => {
    client = connected;
    held = undefined;
    taker.missed();
    await change();
  });
  session.onLost(() => {
    client = undefined;
    held = undefined;
  });
  taker.onChange(() => void change());

  const wanted = () => (isAllowed ? taker.takesAs : undefined);

  /** Takes or gives back the locks, if it should be otherwise. */
  function change(): Promise<void> {
    changing ??= changeNow().finally(() => {
      changing = undefined;
    });
    return changing;
  }

  async function changeNow(): Promise<void> {
    try {
      while (client !== undefined && wanted() !== held) {
        if (held !== undefined) await giveBack(client, held);
        else if (!(await take(client, wanted() as number))) break;
        report.succeeded();
      }
    } catch (error) {
      report.failed(error);
    }
    clearTimeout(looking);
    const isSettled = wanted() === held && (held !== undefined || !isAllowed);
    if (!stopped && !isSettled) looking = setTimeout(change, LOOK_AGAIN_MS);
  }

  /** Returns false if the lock is not free: a lost session may hold it a little longer, or a sender tries it now. */
  async function take(from: pg.Client, number: number): Promise<boolean> {
    taker.closed(null);
    const { rows } = await from.query<{ taken: boolean }>(
      `select pg_try_advisory_lock(${TAKING_SPACE}, $1) as taken`,
      [number],
    );
    if (rows[0]?.taken !== true) return false;
    await from.query(`select pg_advisory_lock_shared(${LOCKS.taking})`);
    if (client === from) held = number;
    return true;
  }

  async function giveBack(to: pg.Client, number: number): Promise<void> {
    // A sender has the number of its transaction before it tries the lock, so it is less than that of this one.
    const { rows } = await to.query<{ transaction: string }>(
      `select pg_advisory_unlock_shared(${LOCKS.taking}), pg_advisory_unlock(${TAKING_SPACE}, $1),
         pg_current_xact_id()::text as transaction`,
      [number],
    );
    if (client === to) held = undefined;
    taker.closed(rows[0]?.transaction ?? null);
  }

  return {
    async allow(allowed) {
      if (isAllowed === allowed) return;
      isAllowed = allowed;
      await change();
    },
    stop() {
      stopped = true;
      clearTimeout(looking);
    },
  };
}
