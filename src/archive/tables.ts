import type pg from 'pg';
import type { Columns } from './parquet-file.ts';

/** The time that an export covers: webhooks accepted from a time on, and before another. */
export interface Span {
  readonly from: Date;
  readonly until: Date;
  /** Only this tenant; undefined: all. */
  readonly tenant?: string | undefined;
}

export type Row = Readonly<Record<string, unknown>>;

/** A table of the archive: its columns, and how its rows are read. */
export interface ArchiveTable {
  readonly columns: Columns;
  /** The partitioned table in which its rows are. */
  readonly parent: 'webhook_payloads' | 'deliveries' | 'delivery_attempts';
  /** Reads the rows in parts that fit into memory. No statement and no transaction lasts for the whole of it. */
  read(client: pg.ClientBase, span: Span): AsyncGenerator<readonly Row[]>;
}

/** Set before rows are read: in the order of an index. Another plan would sort the rest of the span for each part. */
export const PLAN = 'set enable_sort = off; set enable_seqscan = off; set enable_bitmapscan = off';
/** Rows in a part. Without bodies, a row has at most a few KiB. */
const PAGE = 10_000;
/** Bytes of bodies in a part, if it has more than one. */
const PAGE_BYTES = 4 * 1024 * 1024;
const FIRST_ID = '00000000-0000-0000-0000-000000000000';
const micros = (column: string) => `(extract(epoch from ${column}) * 1000000)::bigint`;
/** In each statement $1 to $3 are the span, and $4 and $5 the last row that was read. */
const within = (id: string) =>
  `${id} >= posthorn.uuidv7_floor($1) and ${id} < posthorn.uuidv7_floor($2)`;

export const ARCHIVE_TABLES = {
  webhooks: {
    parent: 'webhook_payloads',
    columns: {
      webhook_id: 'uuid',
      accepted_at: 'timestamp',
      tenant: 'text',
      event_type: 'text',
      content_type: 'text',
      channels: 'texts',
      ordering_key: 'text',
      unfilterable: 'boolean',
      body_bytes: 'integer',
    },
    read: (client, span) =>
      pages(client, span, {
        key: ['webhook_id'],
        statement: `
          select id as webhook_id, ${micros('accepted_at')} as accepted_at, tenant, event_type, content_type, channels,
            ordering_key, unfilterable, octet_length(body) as body_bytes
          from posthorn.webhook_payloads
          where ${within('id')} and ($3::text is null or tenant = $3) and id > $4
          order by id
          limit $5`,
      }),
  },
  deliveries: {
    parent: 'deliveries',
    columns: {
      webhook_id: 'uuid',
      subscription_id: 'integer',
      tenant: 'text',
      state: 'text',
      attempt_count: 'integer',
      ended_at: 'timestamp',
      next_attempt_at: 'timestamp',
      reason: 'text',
    },
    read: (client, span) =>
      pages(client, span, {
        key: ['webhook_id', 'subscription_id'],
        statement: `
          select d.webhook_id, d.subscription_id, s.tenant, d.state, d.attempt_count, ${micros('d.ended_at')} as ended_at,
            ${micros('d.next_attempt_at')} as next_attempt_at, d.reason
          from posthorn.deliveries d left join posthorn.subscriptions s on s.id = d.subscription_id
          where ${within('d.webhook_id')} and ($3::text is null or s.tenant = $3)
            and (d.webhook_id, d.subscription_id) > ($4, $5)
          order by d.webhook_id, d.subscription_id
          limit $6`,
      }),
  },
  attempts: {
    parent: 'delivery_attempts',
    columns: {
      attempt_id: 'bigint',
      at: 'timestamp',
      webhook_id: 'uuid',
      subscription_id: 'integer',
      tenant: 'text',
      attempt_number: 'integer',
      status: 'text',
      response_code: 'integer',
      error_code: 'text',
      error: 'text',
      duration_ms: 'integer',
      first_byte_ms: 'integer',
      dns_ms: 'integer',
      connect_ms: 'integer',
      tls_ms: 'integer',
      webhook_timestamp: 'integer',
    },
    read: (client, span) =>
      pages(client, span, {
        key: ['webhook_id', 'subscription_id'],
        several: true,
        statement: `
          select a.id as attempt_id, ${micros('a.at')} as at, a.webhook_id, a.subscription_id, s.tenant, a.attempt_number,
            a.status, a.response_code, a.error_code, a.error, a.duration_ms, a.first_byte_ms, a.dns_ms, a.connect_ms,
            a.tls_ms, a.webhook_timestamp
          from posthorn.delivery_attempts a left join posthorn.subscriptions s on s.id = a.subscription_id
          where ${within('a.webhook_id')} and ($3::text is null or s.tenant = $3)
            and (a.webhook_id, a.subscription_id) > ($4, $5)
          order by a.webhook_id, a.subscription_id
          limit $6`,
      }),
  },
  bodies: {
    parent: 'webhook_payloads',
    columns: { webhook_id: 'uuid', content_type: 'text', headers: 'json', body: 'bytes' },
    read: readBodies,
  },
  answers: {
    parent: 'delivery_attempts',
    columns: {
      attempt_id: 'bigint',
      webhook_id: 'uuid',
      subscription_id: 'integer',
      response_excerpt: 'text',
    },
    read: (client, span) =>
      pages(client, span, {
        key: ['webhook_id', 'subscription_id'],
        several: true,
        statement: `
          select a.id as attempt_id, a.webhook_id, a.subscription_id, a.response_excerpt
          from posthorn.delivery_attempts a left join posthorn.subscriptions s on s.id = a.subscription_id
          where ${within('a.webhook_id')} and ($3::text is null or s.tenant = $3) and a.response_excerpt is not null
            and (a.webhook_id, a.subscription_id) > ($4, $5)
          order by a.webhook_id, a.subscription_id
          limit $6`,
      }),
  },
} as const satisfies Readonly<Record<string, ArchiveTable>>;

export type ArchiveTableName = keyof typeof ARCHIVE_TABLES;

interface Paged {
  readonly statement: string;
  /** The columns by which the rows are ordered. Their values in the last row come before the limit. */
  readonly key: readonly ('webhook_id' | 'subscription_id')[];
  /** Several rows may have the same key. */
  readonly several?: boolean;
}

async function* pages(
  client: pg.ClientBase,
  { from, until, tenant }: Span,
  { statement, key, several = false }: Paged,
): AsyncGenerator<readonly Row[]> {
  let last: unknown[] = key.map((name) => (name === 'webhook_id' ? FIRST_ID : 0));
  let limit = PAGE;
  for (;;) {
    const { rows } = await client.query<Record<string, unknown>>(statement, [
      from,
      until,
      tenant ?? null,
      ...last,
      limit,
    ]);
    const isLast = rows.length < limit;
    const page = isLast || !several ? rows : wholeKeys(rows, key);
    if (page.length > 0) yield page;
    if (isLast) return;
    // If the page has a single key, that key has more rows than a page.
    limit = page.length === 0 ? limit * 4 : PAGE;
    if (page.length > 0) last = key.map((name) => page.at(-1)?.[name]);
  }
}

/** Leaves out the rows of the last key, of which there may be more. */
function wholeKeys(rows: readonly Row[], key: Paged['key']): readonly Row[] {
  const end = rows.at(-1);
  return rows.filter((row) => key.some((name) => row[name] !== end?.[name]));
}

async function* readBodies(client: pg.ClientBase, span: Span): AsyncGenerator<readonly Row[]> {
  const heads = pages(client, span, {
    key: ['webhook_id'],
    statement: `
      select id as webhook_id, content_type, headers, octet_length(body) as bytes
      from posthorn.webhook_payloads
      where ${within('id')} and ($3::text is null or tenant = $3) and body is not null and id > $4
      order by id
      limit $5`,
  });
  for await (const page of heads) {
    let part: Row[] = [];
    let bytes = 0;
    for (const row of page) {
      if (part.length > 0 && bytes + Number(row.bytes) > PAGE_BYTES) {
        yield await withBodies(client, part);
        part = [];
        bytes = 0;
      }
      part.push(row);
      bytes += Number(row.bytes);
    }
    yield await withBodies(client, part);
  }
}

async function withBodies(client: pg.ClientBase, heads: readonly Row[]): Promise<readonly Row[]> {
  const ids = heads.map(({ webhook_id }) => webhook_id as string);
  const { rows } = await client.query<{ body: Buffer | null }>(
    `select p.body
     from unnest($1::uuid[]) with ordinality as wanted (id, place)
     left join posthorn.webhook_payloads p on p.id = wanted.id and p.id >= $2 and p.id <= $3
     order by wanted.place`,
    [ids, ids[0], ids.at(-1)],
  );
  return heads.map((head, index) => ({ ...head, body: rows[index]?.body ?? null }));
}
