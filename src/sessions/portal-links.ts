import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { createGroupCommit } from '../lib/group-commit.ts';
import type { PortalGrant } from './portal.ts';
import type { Tokens } from './tokens.ts';

/** A link to the portal. Its id is public, and its token opens the portal once. */
export interface PortalLink {
  readonly id: string;
  readonly token: string;
  readonly openUntil: Date;
  readonly expiresAt: Date;
}

export interface NewPortalLink {
  readonly tenant: string;
  /** The id of the key that makes it; null: the admin key, or none if none is required. */
  readonly opener: number | null;
  readonly grant: PortalGrant;
  /** How long the customer may use the portal, from now. */
  readonly expiresInMs: number;
  /** It ends at this time at the latest. */
  readonly until: Date | null;
}

export interface PortalLinks {
  /** Makes a link. Returns undefined if the tenant does not exist. */
  create(link: NewPortalLink): Promise<PortalLink | undefined>;
  /**
   * Exchanges the token of a link for that of a session.
   *
   * @returns null if the link does not exist, was opened before, or is too old.
   */
  open(id: string, token: string): Promise<{ token: string; expiresAt: Date } | null>;
  /**
   * Returns the origins that may embed the page of a link, or of a session by its token. They are known for an hour
   * longer than the session lasts.
   */
  origins(of: { link: string } | { token: string }): Promise<readonly string[]>;
  /** Ends all links and sessions of a tenant's portal, and returns their number. */
  endAll(tenant: string): Promise<number>;
}

/** An application makes a link when its user asks for the portal, so the browser opens it at once. */
const OPEN_WITHIN_MS = 10 * 60_000;
/** Limits the rows that a tenant can cause. */
const MAX_PER_TENANT = 1000;
const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/;

/** Keeps the links to portals, which become sessions when they are opened. */
export function createPortalLinks(pool: pg.Pool, tokens: Tokens): PortalLinks {
  // One statement at a time, since anybody may ask.
  const lookups = createGroupCommit<{ id: string | null; hash: Buffer | null }, readonly string[]>({
    concurrency: 1,
    maxItems: 1000,
    async run(items) {
      const { rows } = await pool.query<OriginsRow>({
        name: 'portal-origins',
        text: `select s.link_id, s.hash, t.portal -> 'origins' as origins
          from posthorn.sessions s
          join posthorn.tenants t on t.id = s.portal_tenant
          where s.link_id = any ($1) or s.hash = any ($2)`,
        values: [items.flatMap(({ id }) => id ?? []), items.flatMap(({ hash }) => hash ?? [])],
      });
      return items.map(
        ({ id, hash }) =>
          rows.find((row) => row.link_id === id || hash?.equals(row.hash))?.origins ?? [],
      );
    },
  });

  return {
    async create({ tenant, opener, grant, expiresInMs, until }) {
      const token = tokens.make(opener);
      const { rows } = await pool.query<LinkRow>(
        `with tenant as (
           select id from posthorn.tenants where id = $1 and deleted_at is null for share
         ), surplus as (
           delete from posthorn.sessions where hash in (
             select hash from posthorn.sessions where portal_tenant = $1 order by created_at desc offset $8
           )
         ), made as (
           select id, least(now() + $6 * interval '1 millisecond', $7) as expires_at from tenant
         )
         insert into posthorn.sessions (hash, key_id, portal_tenant, portal, link_id, open_until, expires_at)
         select $2, $3, id, $4, $5, least(expires_at, now() + ${OPEN_WITHIN_MS} * interval '1 millisecond'), expires_at
         from made
         returning link_id as id, open_until, expires_at`,
        [
          tenant,
          tokens.hash(token),
          opener,
          JSON.stringify(grant),
          randomUUID(),
          expiresInMs,
          until,
          MAX_PER_TENANT - 1,
        ],
      );
      const [row] = rows;
      return row && { id: row.id, token, openUntil: row.open_until, expiresAt: row.expires_at };
    },
    async open(id, linkToken) {
      const hash = tokens.hash(linkToken);
      if (hash === null || !UUID.test(id)) return null;
      const token = tokens.successor(linkToken);
      const { rows } = await pool.query<{ expires_at: Date }>(
        `update posthorn.sessions set hash = $3, open_until = null
         where link_id = $1 and hash = $2 and open_until > now()
         returning expires_at`,
        [id, hash, tokens.hash(token)],
      );
      return rows[0] === undefined ? null : { token, expiresAt: rows[0].expires_at };
    },
    async origins(of) {
      const id = 'link' in of && UUID.test(of.link) ? of.link : null;
      const hash = 'token' in of ? tokens.hash(of.token) : null;
      return id === null && hash === null ? [] : await lookups.add({ id, hash });
    },
    async endAll(tenant) {
      const { rowCount } = await pool.query(
        'delete from posthorn.sessions where portal_tenant = $1',
        [tenant],
      );
      return rowCount ?? 0;
    },
  };
}

interface LinkRow {
  readonly id: string;
  readonly open_until: Date;
  readonly expires_at: Date;
}

interface OriginsRow {
  readonly link_id: string;
  readonly hash: Buffer;
  readonly origins: string[] | null;
}
