import type pg from 'pg';
import { uuidConstant } from '../history/scan.ts';
import type { SubscriptionCache } from '../subscriptions/cache.ts';
import { headersOf } from './courier.ts';

/** A header of a request that was sent. */
export interface SentHeader {
  readonly name: string;
  /** Null: it is not known. */
  readonly value: string | null;
  /** Why the value is not known, or may have been another. Null: this is what was sent. */
  readonly note: string | null;
}

/** The request of an attempt, as far as it is known afterwards. */
export interface SentRequest {
  /** False: the attempt ended before a request was sent. */
  readonly sent: boolean;
  readonly url: string | null;
  readonly headers: readonly SentHeader[];
  /** Sentences about what is uncertain besides the headers. */
  readonly notes: readonly string[];
}

interface Row {
  readonly sent: boolean;
  readonly webhook_timestamp: number | null;
  readonly content_type: string;
  readonly source_headers: Record<string, string> | null;
  readonly bytes: number | null;
  readonly started_at: Date;
  readonly changed_at: Date | null;
}

/** A change takes effect in all processes within a second, or within a minute if a notification is lost. */
const TAKES_EFFECT_MS = 60_000;

/**
 * Builds the request of an attempt again, from what is stored: nothing of it is kept but its timestamp. Signatures are
 * left out. What may have been different, because the subscription was changed since, says so.
 *
 * @param pool with the planner settings `POOL_PLANS.lists`.
 * @returns undefined when the tenant has no such attempt.
 */
export async function rebuildRequest(
  pool: pg.Pool,
  subscriptions: SubscriptionCache,
  tenant: string,
  { webhookId, subscriptionId, attemptNumber }: AttemptKey,
): Promise<SentRequest | undefined> {
  const id = uuidConstant(webhookId);
  const { rows } = await pool.query<Row>(
    `select a.first_byte_ms is not null as sent, a.webhook_timestamp, p.content_type, p.headers as source_headers,
       length(p.body) as bytes, a.at - a.duration_ms * interval '1 millisecond' as started_at,
       case when s.updated_at > s.created_at then s.updated_at end as changed_at
     from posthorn.delivery_attempts a
     join posthorn.subscriptions s on s.id = a.subscription_id
     join posthorn.webhook_payloads p on p.id = ${id}
     where a.webhook_id = ${id} and a.subscription_id = $1 and a.attempt_number = $2 and s.tenant = $3`,
    [subscriptionId, attemptNumber, tenant],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  if (!row.sent) return { sent: false, url: null, headers: [], notes: [] };
  const subscription = await subscriptions.get(subscriptionId);
  const known = subscription ?? { signer: null, headers: [] };
  const headers = headersOf(
    {
      webhookId,
      contentType: row.content_type,
      sourceHeaders: Object.entries(row.source_headers ?? {}).flat(),
      body: Buffer.alloc(0),
    },
    known,
    row.webhook_timestamp ?? 0,
  );
  const changed = changeNote(row);
  const judge = createJudge(row, known.headers, changed);
  const url = subscription?.url ?? null;
  return {
    sent: true,
    url: url === null ? null : url.href,
    headers: [
      {
        name: 'host',
        value: url?.host ?? null,
        note: url === null ? 'The subscription is deleted.' : changed,
      },
      { name: 'connection', value: 'keep-alive', note: null },
      ...pairsOf(headers).map(judge),
      {
        name: 'content-length',
        value: row.bytes === null ? null : String(row.bytes),
        note: row.bytes === null ? 'The body is deleted.' : null,
      },
    ],
    notes: notesOf(row, subscription === null, changed),
  };
}

interface AttemptKey {
  readonly webhookId: string;
  readonly subscriptionId: number;
  readonly attemptNumber: number;
}

function changeNote({ changed_at, started_at }: Row): string | null {
  if (changed_at === null || changed_at.getTime() + TAKES_EFFECT_MS < started_at.getTime())
    return null;
  return 'As it is now: the subscription was changed since, or shortly before.';
}

function notesOf({ bytes }: Row, deleted: boolean, changed: string | null): string[] {
  return [
    ...(deleted
      ? [
          'The subscription is deleted, so its URL, its own headers and its signatures are not known.',
        ]
      : []),
    ...(changed === null
      ? []
      : ['The subscription may have had other headers of its own, another URL or another secret.']),
    ...(bytes === null ? ['Headers that the sender gave are deleted together with the body.'] : []),
  ];
}

/** With a collector of traces, each attempt has its own. */
const TRACE = new Set(['traceparent', 'tracestate']);
/** Names of headers that are the same in each request of the webhook. */
const OF_WEBHOOK = new Set(['content-type', 'accept-encoding', 'webhook-id']);

function createJudge(
  { webhook_timestamp, source_headers }: Row,
  custom: readonly string[],
  changed: string | null,
) {
  const own = new Set(pairsOf(custom).map(([name]) => name));
  const given = new Set(Object.keys(source_headers ?? {}));
  return ([name, value]: readonly [string, string]): SentHeader => {
    if (OF_WEBHOOK.has(name)) return { name, value, note: null };
    if (name === 'webhook-timestamp')
      return webhook_timestamp === null
        ? { name, value: null, note: 'It is not recorded.' }
        : { name, value, note: null };
    if (own.has(name)) return { name, value, note: changed };
    if (name === 'user-agent')
      return { name, value, note: 'The version that answers here; an older one may have sent it.' };
    if (TRACE.has(name)) return { name, value, note: 'With tracing, the attempt had its own.' };
    if (given.has(name)) return { name, value, note: changed };
    return { name, value: null, note: 'Signatures are made for each attempt, and not stored.' };
  };
}

function pairsOf(headers: readonly string[]): (readonly [string, string])[] {
  return headers.flatMap((name, n) =>
    n % 2 === 0 ? [[name, headers[n + 1] as string] as const] : [],
  );
}
