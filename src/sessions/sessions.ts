import { createHmac, randomBytes } from 'node:crypto';
import type pg from 'pg';
import { createGroupCommit } from '../lib/group-commit.ts';

/** A browser session as it is stored. It has the access of the key that opened it. */
export interface BrowserSession {
  /** The SHA-256 of that key; null: the admin key, or an API that requires no key. */
  readonly keyHash: Buffer | null;
  readonly expiresAt: Date;
}

export interface Sessions {
  /**
   * Opens a session, and ends the oldest one of the same key if there would be more than `MAX_PER_KEY`.
   *
   * @param opener the id of the key; null: the admin key, or none if none is required.
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
/** Of tokens that a browser could have: other texts are not looked up. */
const TOKEN = /^[ak]_[\w-]{43}$/;

/**
 * Keeps browser sessions in the table `sessions`, so that all processes know them.
 *
 * Each lookup reads the table. Pages send few requests, and so a session that ends anywhere is ended everywhere, with
 * no notification that could be lost. Lookups at the same time share a statement, and there is one at a time: however
 * many tokens somebody guesses, that takes one connection.
 *
 * The stored hash of a session that was opened with the admin key depends on that key. So a new admin key ends these
 * sessions, and a copy of the table does not help to guess the key.
 *
 * @param adminKey undefined: the API requires no key.
 */
export function createSessions(pool: pg.Pool, adminKey: string | undefined): Sessions {
  function hashOf(token: string): Buffer {
    return createHmac('sha256', token)
      .update(token.startsWith('a_') ? (adminKey ?? '') : '')
      .digest();
  }

  const lookups = createGroupCommit<Buffer, BrowserSession | null>({
    concurrency: 1,
    maxItems: 1000,
    async run(hashes) {
      const { rows } = await pool.query<SessionRow>({
        name: 'sessions-find',
        text: `select s.hash, s.expires_at, k.hash as key_hash
          from posthorn.sessions s
          left join posthorn.keys k on k.id = s.key_id
          where s.hash = any ($1) and s.expires_at > now()`,
        values: [hashes],
      });
      const found = new Map(rows.map((row) => [row.hash.toString('hex'), read(row)]));
      return hashes.map((hash) => found.get(hash.toString('hex')) ?? null);
    },
  });

  return {
    async open(opener, until) {
      const token = `${opener === null ? 'a' : 'k'}_${randomBytes(32).toString('base64url')}`;
      const { rows } = await pool.query<{ expires_at: Date }>(
        `with surplus as (
           delete from posthorn.sessions where hash in (
             select hash from posthorn.sessions where coalesce(key_id, 0) = coalesce($2, 0)
             order by created_at desc offset $5
           )
         )
         insert into posthorn.sessions (hash, key_id, expires_at)
         values ($1, $2, least(now() + $3 * interval '1 millisecond', $4))
         returning expires_at`,
        [hashOf(token), opener, SESSION_MS, until, MAX_PER_KEY - 1],
      );
      const [row] = rows as [{ expires_at: Date }];
      return { token, expiresAt: row.expires_at };
    },
    async find(token) {
      return TOKEN.test(token) ? await lookups.add(hashOf(token)) : null;
    },
    async end(token) {
      await pool.query('delete from posthorn.sessions where hash = $1', [hashOf(token)]);
    },
  };
}

/** Deletes the sessions that have ended. */
export async function forgetSessions(pool: pg.Pool): Promise<void> {
  await pool.query('delete from posthorn.sessions where expires_at < now()');
}

interface SessionRow {
  readonly hash: Buffer;
  readonly expires_at: Date;
  readonly key_hash: Buffer | null;
}

function read({ expires_at, key_hash }: SessionRow): BrowserSession {
  return { keyHash: key_hash, expiresAt: expires_at };
}
