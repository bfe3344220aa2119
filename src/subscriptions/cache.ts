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
import { type Ingest, type IngestColumns, readIngest } from './ingest.ts';
import type { Format } from './notices.ts';
import { headerProblem, type PolicyColumns, readAs } from './policy.ts';
import { openSecrets, type SecretColumns } from './secrets.ts';
import { judgeHeaderName, type SigningColumns } from './signing.ts';

/** The parts of a subscription that intake and delivery need. */
export interface CachedSubscription {
  readonly id: number;
  /** notice: it gets notices of Posthorn to people, and nothing else. */
  readonly format: Format;
  /** The tenant that owns it, which never changes. */
  readonly tenant: string;
  /** Null: its receiver pulls. */
  readonly url: URL | null;
  /** Null for a subscription without a secret. */
  readonly signer: Signer | null;
  /** Verifies the signatures of webhooks handed in; null: only a key is accepted. */
  readonly verifier: Verifier | null;
  readonly status: SubscriptionStatus;
  readonly circuitOpen: boolean;
  /** True: several attempts in a row have failed, with no success since. */
  readonly failing: boolean;
  /** While its circuit is open: when a probe may be sent, on the clock of `performance.now()`. */
  readonly probeAt: number | null;
  /** True: new deliveries are held from the start, and the owner of its backlog sends them. */
  readonly throughBacklog: boolean;
  /** Its own policy; null: the settings apply. */
  readonly schedule: RetrySchedule | null;
  readonly timeoutMs: number | null;
  /** Custom headers as name, value, name, value. */
  readonly headers: readonly string[];
  /** The content types and headers that it takes from its source besides JSON bodies. */
  readonly ingest: Ingest;
  readonly maxInFlight: number | null;
  readonly rateLimit: { readonly limit: number; readonly perMs: number } | null;
  readonly ordering: SubscriptionOrdering;
  /**
   * Why nothing can be sent to it, or null. For example, it was changed by SQL to something invalid, or its
   * secret cannot be decrypted. Deliveries are then not sent unsigned either.
   */
  readonly problem: string | null;
}

export interface SubscriptionCache {
  /** The subscription, or null when there is none or it was deleted. */
  get(id: number): Promise<CachedSubscription | null>;
  /**
   * Removes it from the cache. Changes are notified to all processes; a process that makes a change calls
   * this too, so that its next request sees the change.
   */
  drop(id: number): void;
  /** Does the same with all subscriptions of a tenant. */
  dropTenant(tenant: string): void;
  /** As `get`, but without a promise, for the hot path: undefined if the subscription is not cached. */
  peek(id: number): CachedSubscription | null | undefined;
}

interface Entry {
  readonly value: CachedSubscription | null;
  readonly freshUntil: number;
}

/** Changes are notified, so this limits only the effect of a lost notification. */
const FRESH_MS = 60_000;
/** While notifications do not arrive, a change must still take effect within a second. */
const FRESH_WITHOUT_NOTIFICATIONS_MS = 500;
/** Absent ids are cached too, so that guessing ids does not cost a query for each guess. */
const MAX_ENTRIES = 50_000;

/**
 * Caches subscriptions by id, and drops a subscription when any process changes it.
 *
 * @param session listens for changes; the cache must be created before the session is started.
 * @param loop told whether loading succeeds or fails.
 */
export function createSubscriptionCache(
  pool: pg.Pool,
  session: Session,
  sealer: Sealer,
  loop: Loop,
): SubscriptionCache {
  const entries = new Map<number, Entry>();
  // A result that was loaded while a subscription changed may be stale, so it is not cached.
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
        select s.id, s.tenant, s.url, s.format, s.secret, s.status, s.circuit_open, s.through_backlog,
          s.retry_schedule, s.timeout_ms, s.headers, s.max_in_flight, s.rate_limit, s.rate_limit_per_ms,
          s.ordering, s.retired_secrets, s.signature_header, s.signature_template, s.signature_content,
          s.verify, s.verify_secret, s.forward_headers, s.ingest_content_types,
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
    dropTenant(tenant) {
      // Also what is being loaded, whose tenant is not known yet.
      changes += 1;
      for (const [id, { value }] of entries) if (value?.tenant === tenant) entries.delete(id);
    },
    async get(id) {
      const known = peek(id);
      return known === undefined ? await loader.add(id) : known;
    },
  };
}

interface SubscriptionRow extends PolicyColumns, SecretColumns, SigningColumns, IngestColumns {
  readonly id: number;
  readonly tenant: string;
  readonly url: string | null;
  readonly format: Format;
  readonly verify: Verification | null;
  readonly status: SubscriptionStatus;
  readonly circuit_open: boolean;
  readonly failing: boolean;
  readonly probe_in_ms: number | null;
  readonly through_backlog: boolean;
}

/** Reads a row. The API checks fields before storing them, but a row can be written by SQL too. */
function read(row: SubscriptionRow, sealer: Sealer): CachedSubscription {
  const { id, rate_limit, rate_limit_per_ms } = row;
  const known = {
    id,
    tenant: row.tenant,
    format: row.format,
    status: row.status,
    circuitOpen: row.circuit_open,
    failing: row.failing,
    probeAt: row.probe_in_ms === null ? null : performance.now() + row.probe_in_ms,
    throughBacklog: row.through_backlog,
    timeoutMs: row.timeout_ms,
    headers: headersOf(row),
    ingest: readIngest(row, row.verify?.scheme),
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
      url: row.url === null ? null : new URL(row.url),
      ...readSigning(row, sealer),
      schedule: row.retry_schedule === null ? null : parseRetrySchedule(row.retry_schedule),
      problem: null,
    };
  } catch (error) {
    return {
      ...known,
      url: row.url === null ? null : new URL('http://invalid.invalid'),
      signer: null,
      verifier: null,
      schedule: null,
      problem: errorMessage(error),
    };
  }
}

/**
 * Returns the custom headers that can be sent. It leaves out a header with the name of the signature header, which
 * would be sent twice, and headers that are refused today but were stored earlier or by SQL.
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
