import type pg from 'pg';
import { createGroupCommit } from '../lib/group-commit.ts';
import { type Portal, type PortalGrant, type PortalSettings, themeOf } from './portal.ts';
import { createTokens, type Tokens } from './tokens.ts';

/** A browser session as it is stored. */
export interface BrowserSession {
  /** The SHA-256 of the key that opened it; null: the admin key, or an API that requires no key. */
  readonly keyHash: Buffer | null;
  readonly expiresAt: Date;
  /** Null: a session of the dashboard, which has the access of the key. */
  readonly portal: Portal | null;
}

export interface Sessions {
  readonly tokens: Tokens;
  /**
   * Opens a session of the dashboard, and ends the oldest one of the same key if there would be more than
   * `MAX_PER_KEY`.
   *
   * @param opener the id of the key; null: the admin key.
   * @param until the session ends at this time at the latest.
   * @returns the token for the cookie, which is not stored.
   */
  open(opener: number | null, until: Date | null): Promise<{ token: string; expiresAt: Date }>;
  /** Returns the session of a token, or null if there is none, or it has ended. */
  find(token: string): Promise<BrowserSession | null>;
  /** Ends the session of a token, if there is one. */
  end(token: string): Promise<void>;
}

/**
 * A session ends this long after the sign-in, however much it is used: a day's work, so that people sign in once a
 * day, and a stolen cookie does not last. A sliding end would cost a write for requests that only read.
 */
export const SESSION_MS = 12 * 3_600_000;
/** Limits the rows that a key can cause. */
const MAX_PER_KEY = 100;

/**
 * Keeps browser sessions in the table `sessions`, so that all processes know them.
 *
 * Each lookup reads the table. Pages send few requests, and so a session that ends anywhere is ended everywhere, with
 * no notification that could be lost. Lookups at the same time share a statement, and there is one at a time: however
 * many tokens somebody guesses, that takes one connection.
 *
 * @param adminKey undefined: the API requires no key.
 */
export function createSessions(pool: pg.Pool, adminKey: string | undefined): Sessions {
  const tokens = createTokens(adminKey);

  const lookups = createGroupCommit<Buffer, BrowserSession | null>({
    concurrency: 1,
    maxItems: 1000,
    async run(hashes) {
      const { rows } = await pool.query<SessionRow>({
        name: 'sessions-find',
        text: `select s.hash, s.expires_at, k.hash as key_hash, s.portal_tenant, s.portal as grant,
            t.name as tenant_name, t.portal as settings
          from posthorn.sessions s
          left join posthorn.keys k on k.id = s.key_id
          left join posthorn.tenants t on t.id = s.portal_tenant
          where s.hash = any ($1) and s.expires_at > now() and s.open_until is null and t.deleted_at is null`,
        values: [hashes],
      });
      const found = new Map(rows.map((row) => [row.hash.toString('hex'), read(row)]));
      return hashes.map((hash) => found.get(hash.toString('hex')) ?? null);
    },
  });

  return {
    tokens,
    async open(opener, until) {
      const token = tokens.make(opener);
      const { rows } = await pool.query<{ expires_at: Date }>(
        `with surplus as (
           delete from posthorn.sessions where hash in (
             select hash from posthorn.sessions
             where coalesce(key_id, 0) = coalesce($2, 0) and portal_tenant is null
             order by created_at desc offset $5
           )
         )
         insert into posthorn.sessions (hash, key_id, expires_at)
         values ($1, $2, least(now() + $3 * interval '1 millisecond', $4))
         returning expires_at`,
        [tokens.hash(token), opener, SESSION_MS, until, MAX_PER_KEY - 1],
      );
      const [row] = rows as [{ expires_at: Date }];
      return { token, expiresAt: row.expires_at };
    },
    async find(token) {
      const hash = tokens.hash(token);
      return hash === null ? null : await lookups.add(hash);
    },
    async end(token) {
      await pool.query('delete from posthorn.sessions where hash = $1', [tokens.hash(token)]);
    },
  };
}

/** Ended sessions of the portal are kept for this time, so that the page that embeds it can show that it has ended. */
export const KEPT_MS = 3_600_000;

/** Deletes the sessions and links that have ended. */
export async function forgetSessions(pool: pg.Pool): Promise<void> {
  await pool.query(
    `delete from posthorn.sessions where expires_at < now() - $1 * interval '1 millisecond'`,
    [KEPT_MS],
  );
}

interface SessionRow {
  readonly hash: Buffer;
  readonly expires_at: Date;
  readonly key_hash: Buffer | null;
  readonly portal_tenant: string | null;
  readonly grant: PortalGrant | null;
  readonly tenant_name: string | null;
  readonly settings: PortalSettings | null;
}

function read(row: SessionRow): BrowserSession {
  const { expires_at: expiresAt, key_hash: keyHash, portal_tenant: tenant, grant } = row;
  if (tenant === null || grant === null) return { keyHash, expiresAt, portal: null };
  const { access, screens } = grant;
  const theme = themeOf(row.settings, grant);
  return { keyHash, expiresAt, portal: { tenant, name: row.tenant_name, access, screens, theme } };
}
