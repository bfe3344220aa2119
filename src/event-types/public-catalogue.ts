import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type pg from 'pg';
import { createNotifiedCache } from '../db/notified-cache.ts';
import type { Session } from '../db/session.ts';
import type { Loop } from '../lib/loop-health.ts';
import { describeCatalogue } from './catalogue.ts';

/** A document in the forms in which it is sent. All requests share these buffers. */
export interface SentDocument {
  readonly plain: Buffer;
  readonly gzipped: Buffer;
  /** It stands for both forms, so it is weak (RFC 9110, 8.8.1). */
  readonly etag: string;
}

export interface PublicCatalogue {
  /** Returns the OpenAPI document of the public event types. Rejects if the database does not answer. */
  get(): Promise<SentDocument>;
}

interface PublicCatalogueOptions {
  readonly pool: pg.Pool;
  /** Listens for changes; the catalogue must be created before the session is started. */
  readonly session: Session;
  /** Told whether loading succeeds or fails. */
  readonly loop: Loop;
  readonly tenant: string;
  /** Which event types are public. */
  readonly patterns: readonly string[];
}

const compress = promisify(gzip);

/**
 * Keeps the public event types of a tenant as a document in memory, and makes it anew after a change. Anybody may ask
 * for it, so requests cost the database nothing, and at most one of them at a time makes the document.
 */
export function createPublicCatalogue(options: PublicCatalogueOptions): PublicCatalogue {
  const { pool, session, loop, tenant, patterns } = options;
  const cache = createNotifiedCache({
    session,
    loop,
    channel: 'posthorn_event_types',
    rememberAbsent: false,
    load: async () => new Map([[tenant, await makeDocument()]]),
  });

  async function makeDocument(): Promise<SentDocument> {
    // A worker never gets here, and kysely would be a third of the modules that it loads.
    const [{ createDatabase }, { readCatalogue }] = await Promise.all([
      import('../db/types.ts'),
      import('./store.ts'),
    ]);
    const types = await readCatalogue(createDatabase(pool), tenant, patterns);
    const plain = Buffer.from(JSON.stringify(describeCatalogue(types)));
    const hash = createHash('sha256').update(plain).digest('base64url');
    return { plain, gzipped: await compress(plain), etag: `W/"${hash}"` };
  }

  return { get: async () => (await cache.get(tenant)) as SentDocument };
}
