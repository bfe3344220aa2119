import type pg from 'pg';
import { isOfRows } from '../db/availability.ts';
import type { Patience } from '../db/retry-while-unavailable.ts';
import type { OwedDelivery } from '../deliveries/load.sql.ts';
import { cannotBeRead, readBody, readSizes } from '../deliveries/payloads.sql.ts';
import { createTurns } from '../lib/turns.ts';

/** Bodies that are read from Postgres at once; one tenant has at most two of these reads. */
export const LARGE_BODY_CONNECTIONS = 3;
/** Bytes of large bodies in memory, which tenants share. */
const MAX_BYTES = 32 * 1024 * 1024;

export interface LargeBodiesOptions {
  /** For reading bodies alone: a slow one refuses its pool to others. */
  readonly pool: pg.Pool;
  /** For testing whether the database answers other statements. */
  readonly sizesPool: pg.Pool;
  readonly patience: Patience;
  /** A body that is larger is not loaded at all. */
  readonly maxBodyBytes: number;
}

/** A body in memory, or why it is not. */
export interface TakenBody extends Pick<OwedDelivery, 'body' | 'ownBody' | 'problem'> {
  /** Must be called as soon as the body is no longer needed. */
  release(): void;
}

export interface LargeBodies {
  /**
   * Loads the body of a delivery, once those before it leave room for it in memory. Deliveries of one
   * webhook that ask for it at the same time share it.
   *
   * @returns null when `signal` has aborted meanwhile.
   */
  take(delivery: OwedDelivery, signal: AbortSignal): Promise<TakenBody | null>;
}

interface Shared {
  users: number;
  readonly loaded: Promise<Buffer | string>;
  /** Gives back its memory. */
  free(): void;
}

/**
 * Loads bodies that are too large to be loaded with others: each by itself, once its delivery has its
 * place at the receiver. So a body that is slow, or cannot be read at all, holds up no small one.
 * Tenants take turns with memory and with reading, and none gets all of either.
 */
export function createLargeBodies(options: LargeBodiesOptions): LargeBodies {
  const { pool, sizesPool, patience, maxBodyBytes } = options;
  const memory = createTurns({ max: MAX_BYTES });
  const reading = createTurns({ max: LARGE_BODY_CONNECTIONS });
  const shared = new Map<string, Shared>();

  function share({ webhookId, tenant, bytes }: OwedDelivery, signal: AbortSignal): Shared {
    const room = memory.take(tenant, bytes);
    return {
      users: 0,
      loaded: room.then(() => load(webhookId, tenant, bytes, signal)),
      free: () => void room.then((free) => free()),
    };
  }

  /** Resolves to the body, or to the reason why there is none. */
  async function load(webhookId: string, tenant: string, bytes: number, signal: AbortSignal) {
    const endReading = await reading.take(tenant);
    try {
      if (signal.aborted) return 'Posthorn is stopping';
      return await patience(() => readTwice(webhookId, bytes));
    } finally {
      endReading();
    }
  }

  async function readTwice(webhookId: string, bytes: number): Promise<Buffer | string> {
    for (let tries = 1; ; tries++) {
      try {
        return (await readBody(pool, webhookId)) ?? 'its body was erased meanwhile';
      } catch (error) {
        if (!isOfRows(error)) throw error;
        // Throws where the database does not answer at all, or the table is locked.
        await readSizes(sizesPool, [webhookId]);
        if (tries === 2) return cannotBeRead(bytes, error);
      }
    }
  }

  return {
    async take(delivery, signal) {
      const { webhookId, bytes } = delivery;
      if (bytes > maxBodyBytes) {
        const problem = `its body has ${bytes} bytes, and one with more than ${maxBodyBytes} is not loaded. Send less, such as a link to the rest`;
        return { body: null, ownBody: false, problem, release: () => {} };
      }
      const asked = shared.get(webhookId) ?? share(delivery, signal);
      asked.users += 1;
      shared.set(webhookId, asked);
      const release = () => {
        asked.users -= 1;
        if (asked.users > 0) return;
        if (shared.get(webhookId) === asked) shared.delete(webhookId);
        asked.free();
      };
      try {
        const loaded = await asked.loaded;
        if (signal.aborted) {
          release();
          return null;
        }
        if (typeof loaded === 'string')
          return { body: null, ownBody: false, problem: loaded, release };
        const ownBody = asked.users === 1;
        // Its memory goes with the request, so a delivery that comes later loads the body again.
        if (ownBody) shared.delete(webhookId);
        return { body: loaded, ownBody, problem: null, release };
      } catch (error) {
        release();
        throw error;
      }
    },
  };
}
