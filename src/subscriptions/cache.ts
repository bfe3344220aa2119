import type pg from 'pg';
import type { Session } from '../db/session.ts';
import type { SubscriptionOrdering, SubscriptionStatus } from '../db/types.ts';
import { parseRetrySchedule, type RetrySchedule } from '../deliveries/retry-schedule.ts';
import { errorMessage } from '../lib/errors.ts';
import { createGroupCommit } from '../lib/group-commit.ts';
import { type Loop, watched } from '../lib/loop-health.ts';
import type { Sealer } from '../lib/sealing.ts';
import { createSigner, type Signer } from '../signing/signer.ts';
import { createHubVerifier } from '../signing/verify/hmac.ts';
import { createVerifier, type Verification } from '../signing/verify/schemes.ts';
import type { Verifier } from '../signing/verify/verifier.ts';
import { headerProblem, type PolicyColumns, readAs } from './policy.ts';
import { openSecrets, type SecretColumns } from './secrets.ts';
import { judgeHeaderName, type SigningColumns } from './signing.ts';

/** What intake and delivery need to know of a subscription. */
export interface CachedSubscription {
  readonly id: number;
  /** Whose it is; that never changes. */
  readonly tenant: string;
  readonly url: URL;
  /** Null for a subscription without a secret. */
  readonly signer: Signer | null;
  /** What proves who hands a webhook in; null where only a key can. */
  readonly verifier: Verifier | null;
  readonly status: SubscriptionStatus;
  readonly circuitOpen: boolean;
  /** Its attempts have failed several times in a row, and none has succeeded since. */
  readonly failing: boolean;
  /** While its circuit is open: when a probe may be sent, as `performance.now()` tells the time. */
  readonly probeAt: number | null;
  /** Its deliveries are held from the start; the owner of its backlog sends them. */
  readonly throughBacklog: boolean;
  /** What of its policy differs from the settings; null where it does not. */
  readonly schedule: RetrySchedule | null;
  readonly timeoutMs: number | null;
  /** Custom headers: name, value, name, value. */
  readonly headers: readonly string[];
  readonly maxInFlight: number | null;
  readonly rateLimit: { readonly limit: number; readonly perMs: number } | null;
  readonly ordering: SubscriptionOrdering;
  /**
   * Why nothing can be sent to it, or null: it was written past the API, or its secret cannot be
   * decrypted. It is then never sent unsigned.
   */
  readonly problem: string | null;
}

export interface SubscriptionCache {
  /** The subscription, or null when there is none or it was deleted. */
  get(id: number): Promise<CachedSubscription | null>;
  /**
   * Forgets it. Changes are notified to all processes; whoever makes one calls this, so that his next
   * request finds it made.
   */
  drop(id: number): void;
  /** The same as `get` where it is known already, and otherwise undefined: for the hot path, without a promise. */
  peek(id: number): CachedSubscription | null | undefined;
}

interface Entry {
  readonly value: CachedSubscription | null;
  readonly freshUntil: number;
}

/** A change is notified, so this bounds only what a lost notification could do. */
const FRESH_MS = 60_000;
/** While notifications do not arrive, a change must still take effect within a second. */
const FRESH_WITHOUT_NOTIFICATIONS_MS = 500;
/** Ids that do not exist cost a query each; somebody who guesses ids must not cost one a guess. */
const MAX_ENTRIES = 50_000;

/**
 * Subscriptions by id, kept in memory and dropped when they change, by whichever process.
 *
 * @param session listens for changes; it must be given here before it is started.
 * @param loop told how loading goes.
 */
export function createSubscriptionCache(
  pool: pg.Pool,
  session: Session,
  sealer: Sealer,
  loop: Loop,
): SubscriptionCache {
  const entries = new Map<number, Entry>();
  // An answer that was under way while its subscription changed may be the old one.
  let changes = 0;

  function drop(id: number): void {
    changes += 1;
    entries.delete(id);
  }

  session.listen('posthorn_subscriptions', (payload) => drop(Number(payload)));
  session.onLost(() => {
    changes += 1;
    entries.clear();
  });

  async function load(ids: number[]): Promise<SubscriptionRow[]> {
    const { rows } = await pool.query<SubscriptionRow>({
      name: 'subscriptions-load',
      text: `
        select s.id, s.tenant, s.url, s.secret, s.status, s.circuit_open, s.through_backlog,
          s.retry_schedule, s.timeout_ms, s.headers, s.max_in_flight, s.rate_limit, s.rate_limit_per_ms,
          s.ordering, s.retired_secrets, s.signature_header, s.signature_template, s.signature_content,
          s.verify, s.verify_secret,
          c.subscription_id is not null as failing,
          (extract(epoch from c.probe_at - now()) * 1000)::float8 as probe_in_ms
        from posthorn.subscriptions s
        left join posthorn.circuits c on c.subscription_id = s.id
        where s.id = any($1) and s.deleted_at is null`,
      values: [ids],
    });
    return rows;
  }

  const loader = createGroupCommit<number, CachedSubscription | null>({
    concurrency: 1,
    maxItems: 1000,
    async run(ids) {
      const changesBefore = changes;
      const rows = await watched(loop, () => load([...new Set(ids)]));
      const found = new Map(rows.map((row) => [row.id, read(row, sealer)]));
      const freshMs = session.connected ? FRESH_MS : FRESH_WITHOUT_NOTIFICATIONS_MS;
      const freshUntil = performance.now() + freshMs;
      return ids.map((id) => {
        const value = found.get(id) ?? null;
        if (changes === changesBefore) {
          if (entries.size >= MAX_ENTRIES) entries.delete(entries.keys().next().value as number);
          entries.set(id, { value, freshUntil });
        }
        return value;
      });
    },
  });

  function peek(id: number): CachedSubscription | null | undefined {
    const entry = entries.get(id);
    return entry !== undefined && entry.freshUntil > performance.now() ? entry.value : undefined;
  }

  return {
    peek,
    drop,
    async get(id) {
      const known = peek(id);
      return known === undefined ? await loader.add(id) : known;
    },
  };
}

interface SubscriptionRow extends PolicyColumns, SecretColumns, SigningColumns {
  readonly id: number;
  readonly tenant: string;
  readonly url: string;
  readonly verify: Verification | null;
  readonly status: SubscriptionStatus;
  readonly circuit_open: boolean;
  readonly failing: boolean;
  readonly probe_in_ms: number | null;
  readonly through_backlog: boolean;
}

/** The API judges what it stores, but a row can be written by SQL too. */
function read(row: SubscriptionRow, sealer: Sealer): CachedSubscription {
  const { id, rate_limit, rate_limit_per_ms } = row;
  const known = {
    id,
    tenant: row.tenant,
    status: row.status,
    circuitOpen: row.circuit_open,
    failing: row.failing,
    probeAt: row.probe_in_ms === null ? null : performance.now() + row.probe_in_ms,
    throughBacklog: row.through_backlog,
    timeoutMs: row.timeout_ms,
    headers: headersOf(row),
    maxInFlight: row.max_in_flight,
    rateLimit:
      rate_limit === null || rate_limit_per_ms === null
        ? null
        : { limit: rate_limit, perMs: rate_limit_per_ms },
    ordering: row.ordering,
  };
  try {
    return {
      ...known,
      url: new URL(row.url),
      ...readSigning(row, sealer),
      schedule: row.retry_schedule === null ? null : parseRetrySchedule(row.retry_schedule),
      problem: null,
    };
  } catch (error) {
    return {
      ...known,
      url: new URL('http://invalid.invalid'),
      signer: null,
      verifier: null,
      schedule: null,
      problem: errorMessage(error),
    };
  }
}

/**
 * Not those that a signature has too: a header comes once. Nor what is refused today, and was stored
 * before that or by SQL.
 */
function headersOf({ headers, signature_header }: SubscriptionRow): string[] {
  const own = signature_header === null ? null : readAs(signature_header);
  return Object.entries(headers ?? {})
    .filter(([name, value]) => readAs(name) !== own && headerProblem(name, value) === null)
    .flat();
}

function readSigning(row: SubscriptionRow, sealer: Sealer) {
  const { id, verify, signature_header: header } = row;
  if (header !== null) judgeHeaderName(header);
  const { secret, retired, verifySecret } = openSecrets(row, id, sealer);
  const nowMs = Date.now();
  const signer =
    secret === null
      ? null
      : createSigner({
          secret,
          retired: retired.filter(({ untilMs }) => untilMs > nowMs),
          custom:
            header === null
              ? null
              : { header, template: row.signature_template, content: row.signature_content },
        });
  if (verify !== null && verifySecret !== null)
    return { signer, verifier: createVerifier(verify, verifySecret) };
  const shared = signer?.shared ?? [];
  return { signer, verifier: shared.length === 0 ? null : createHubVerifier(shared) };
}
