import type pg from 'pg';
import { plainArray, textArray } from '../db/arrays.ts';

/** One webhook on its way into the database. */
export interface IncomingWebhook {
  readonly subscriptionId: number;
  readonly contentType: string;
  /** The body exactly as received. */
  readonly body: Buffer;
}

/**
 * Commits webhooks, what is owed for them and their jobs in one transaction: one call of
 * `posthorn.accept` (migrations/0001_first.sql), which is where fan-out and enqueueing live.
 *
 * The bodies travel as one binary parameter with their places. Tried and left: a bytea[] (sent as
 * text, escaped, twice the size) and a row of parameters for each webhook (a statement to parse
 * for every group size).
 *
 * @returns the webhooks' ids in their order; null where the subscription does not exist.
 */
export async function acceptWebhooks(
  pool: pg.Pool,
  webhooks: IncomingWebhook[],
): Promise<(string | null)[]> {
  const starts: number[] = [];
  const lengths: number[] = [];
  let start = 0;
  for (const { body } of webhooks) {
    starts.push(start);
    lengths.push(body.length);
    start += body.length;
  }
  const { rows } = await pool.query<{ ids: (string | null)[] }>({
    name: 'accept',
    text: 'select posthorn.accept($1, $2, $3, $4, $5)::text[] as ids',
    values: [
      webhooks.length === 1 ? webhooks[0]?.body : Buffer.concat(webhooks.map(({ body }) => body)),
      plainArray(starts),
      plainArray(lengths),
      plainArray(webhooks.map(({ subscriptionId }) => subscriptionId)),
      textArray(webhooks.map(({ contentType }) => contentType)),
    ],
  });
  return rows[0]?.ids as (string | null)[];
}
