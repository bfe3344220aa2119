import type { HandedOver, IncomingWebhook } from './accept.sql.ts';

/** The worker in the process of the intake. */
export interface NearbyWorker {
  readonly handOver: HandOver;
  /** Looks for due jobs in so many milliseconds. */
  wakeIn(delayMs: number): void;
}

/**
 * Takes deliveries over from intake, to send them from memory at once. They need no job, so the queue has nothing
 * to do for them (sending/hand-over.ts).
 */
export interface HandOver {
  /**
   * Keeps room for the deliveries of webhooks that are about to be committed.
   *
   * @param bulk whether they are among many of one sender, and others go first.
   * @returns null: they have to go through the queue.
   */
  reserve(webhooks: readonly IncomingWebhook[], bulk: boolean): Reservation | null;
  /**
   * Waits until most of the deliveries in memory have ended, and at most so long.
   *
   * @returns undefined if there is nothing to wait for.
   */
  whenFree(maxMs: number): Promise<void> | undefined;
}

/** Room for deliveries. Exactly one of its functions must be called. */
export interface Reservation {
  /** The number by which the database knows the worker. */
  readonly number: number;
  /** The most deliveries that it takes. The others get jobs. */
  readonly room: number;
  /** The webhooks were committed, and these deliveries have no jobs. */
  begin(deliveries: readonly HandedOver[]): void;
  /**
   * Nothing was handed over.
   *
   * @param isKnown false: deliveries may have been committed that nobody knows of.
   */
  cancel(isKnown: boolean): void;
}
