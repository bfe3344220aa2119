import type pg from 'pg';
import type { POOL_PLANS } from '../../../src/db/planner.ts';

/** Keys of deliveries, of one day or two. */
export interface Keys {
  readonly webhooks: readonly string[];
  readonly subscriptions: readonly number[];
}

export interface Samples {
  /** Deliveries that wait for a retry, of one day. */
  readonly pending: Keys;
  /** The same, and one of the day before. */
  readonly pendingOfTwoDays: Keys;
  /** Held deliveries of several subscriptions, of one day. */
  readonly held: Keys;
  /** The newest held delivery of the longest backlog, which is in strict order. */
  readonly heldStrict: Keys;
  /** Ended ones. */
  readonly ended: Keys;
}

/** A function whose statements are hot. */
export interface Hot {
  readonly what: string;
  /** The pool that the service runs it on. */
  readonly pool: keyof typeof POOL_PLANS | 'general';
  /** How many rows it is about. */
  readonly rows: number;
  /** The days, as in the names of partitions, in which its ids are; undefined: it knows none. */
  readonly days?: readonly string[];
  /** Tables that it reads as a whole, on purpose. */
  readonly whole?: readonly string[];
  run(pool: pg.Pool): Promise<unknown>;
}

export async function readSamples(client: pg.Client): Promise<Samples> {
  const keys = async (where: string): Promise<Keys> => {
    const { rows } = await client.query<{ id: string; subscription_id: number }>(
      `select webhook_id::text as id, subscription_id from posthorn.deliveries where ${where}`,
    );
    if (rows.length === 0) throw new Error(`there are no deliveries where ${where}`);
    return {
      webhooks: rows.map(({ id }) => id),
      subscriptions: rows.map(({ subscription_id }) => subscription_id),
    };
  };
  // Yesterday has most of what is owed.
  const day = `webhook_id >= posthorn.uuidv7_floor((current_date - 1)::timestamptz)
    and webhook_id < posthorn.uuidv7_floor(current_date::timestamptz)`;
  await client.query(`set timezone = 'UTC'`);
  const pending = await keys(`state = 'pending' and ${day} order by webhook_id limit 25`);
  const older = await keys(
    `state = 'succeeded' and webhook_id < posthorn.uuidv7_floor((current_date - 1)::timestamptz)
     order by webhook_id desc limit 1`,
  );
  return {
    pending,
    pendingOfTwoDays: {
      webhooks: [...pending.webhooks, ...older.webhooks],
      subscriptions: [...pending.subscriptions, ...older.subscriptions],
    },
    held: await keys(
      `state = 'held' and subscription_id > 1 and ${day} order by webhook_id limit 25`,
    ),
    heldStrict: await keys(
      `state = 'held' and subscription_id = 1 order by webhook_id desc limit 1`,
    ),
    ended: await keys(
      `state = 'succeeded' and subscription_id between 5 and 1000 and ${day} order by webhook_id limit 25`,
    ),
  };
}

const dayOf = (id: string) =>
  new Date(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16))
    .toISOString()
    .slice(0, 10)
    .replaceAll('-', '');
/** The days of deliveries, as in the names of partitions. */
export const daysOf = ({ webhooks }: Keys) => [...new Set(webhooks.map(dayOf))];

/** Fails if a statement has found nothing: then its plan says nothing. */
export function found<T>(what: T, count: number, least: number): T {
  if (count < least) throw new Error(`it found ${count}, and should find ${least} at least`);
  return what;
}
