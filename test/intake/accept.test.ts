import fc from 'fast-check';
import pg from 'pg';
import t from 'tap';
import { acceptWebhooks, type IncomingWebhook } from '../../src/intake/accept.sql.ts';
import { createTestDatabase } from '../helpers/database.ts';

/** What may be given as the subscription: an index into those of the test. */
const KINDS = ['active', 'of another tenant', 'held', 'paused', 'deleted'] as const;

const webhooksTo = (kinds: number) =>
  fc.array(
    fc.record({
      kind: fc.nat(kinds - 1),
      eventType: fc.option(fc.constantFrom('order.created', 'order.paid')),
      channels: fc.option(fc.uniqueArray(fc.constantFrom('a', 'b', 'c,"d'), { minLength: 1 })),
      orderingKey: fc.option(fc.constantFrom('k', 'l')),
      headers: fc.option(fc.constantFrom({ 'x-a': 'b' }, { 'x-c': 'd,"{\\é', 'x-e': '' })),
      body: fc.uint8Array({ minLength: 0, maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    }),
    { minLength: 1, maxLength: 80 },
  );
/** The small statements do it where all are of the first two kinds. */
const WEBHOOKS = fc.oneof(
  { arbitrary: webhooksTo(2), weight: 4 },
  { arbitrary: webhooksTo(KINDS.length), weight: 1 },
);

t.test(
  'the small and the general statement store webhooks to given subscriptions alike, in all columns',
  { timeout: 600_000 },
  async (t) => {
    const databaseUrl = await createTestDatabase(t);
    const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });
    t.teardown(() => pool.end());
    await pool.query(`insert into posthorn.tenants (id) values ('other')`);
    const { rows } = await pool.query<{ id: number }>(`
      insert into posthorn.subscriptions (url, tenant, max_in_flight, status, deleted_at)
      values ('http://a.example/', 'default', null, 'active', null),
        ('http://a.example/', 'other', null, 'active', null),
        ('http://a.example/', 'default', 2, 'active', null),
        ('http://a.example/', 'default', null, 'paused', null),
        ('http://a.example/', 'default', null, 'active', now())
      returning id`);
    let keys = 0;

    /** Accepts them, and says what is there that was not before, in their order. */
    async function accept(webhooks: IncomingWebhook[], count: number) {
      for (const table of [
        'posthorn.deliveries',
        'posthorn.webhook_payloads',
        'graphile_worker._private_jobs',
      ])
        await pool.query(`delete from ${table}`);
      const accepted = await acceptWebhooks(pool, webhooks, { bulk: false, apart: false });
      const answers = accepted.answers.slice(0, count);
      const places = new Map(
        answers.map((answer, place) => [(answer as { id: string })?.id, place]),
      );
      const stored = await pool.query(`
        select p.id, p.tenant, p.event_type, p.content_type, p.body, p.channels, p.ordering_key, p.headers,
          d.subscription_id, d.state, d.queued, d.attempt_count, d.ended_at,
          d.next_attempt_at <= now() as due
        from posthorn.webhook_payloads p
        left join posthorn.deliveries d on d.webhook_id = p.id`);
      const jobs = await pool.query<{ payload: JobPayload }>(
        'select payload from graphile_worker._private_jobs',
      );
      const byPlace = (a: Placed, b: Placed) => (a.place ?? 0) - (b.place ?? 0);
      return {
        answers: answers.map((answer) =>
          answer === null ? null : { ...(answer as object), id: undefined },
        ),
        stored: stored.rows
          .filter(({ id }) => places.has(id))
          .map((row) => ({ ...row, id: undefined, place: places.get(row.id) }))
          .sort(byPlace),
        woken: jobs.rows
          .flatMap(({ payload: { webhooks: ids, subscriptions, attempt } }) =>
            ids.map((id, at) => ({
              place: places.get(id),
              subscription: subscriptions[at],
              attempt,
              inOne: ids.length <= 25,
            })),
          )
          .filter(({ place }) => place !== undefined)
          .sort(byPlace),
        bytes: jobs.rows.reduce((sum, { payload }) => sum + payload.bytes, 0),
      };
    }

    // However Postgres joins: it promises no order of rows.
    const JOINS = ['nestloop', 'hashjoin', 'mergejoin'];
    await pool.query(`set plan_cache_mode = 'force_custom_plan'; set jit = off`);
    await fc.assert(
      fc.asyncProperty(WEBHOOKS, fc.constantFrom(...JOINS), async (given, join) => {
        for (const one of JOINS) await pool.query(`set enable_${one} = ${one === join}`);
        const webhooks = given.map(
          ({ kind, ...rest }): IncomingWebhook => ({
            ...rest,
            subscriptionId: rows[kind]?.id as number,
            tenant: 'default',
            contentType: 'application/json',
            dataStart: 0,
            idempotency: null,
          }),
        );
        const direct = await accept(webhooks, webhooks.length);
        // A key makes it a matter of the statement that can do everything.
        keys += 1;
        const keyed: IncomingWebhook = {
          ...(webhooks[0] as IncomingWebhook),
          body: Buffer.alloc(0),
          idempotency: { key: `key-${keys}`, fingerprint: Buffer.alloc(32) },
        };
        const general = await accept([...webhooks, keyed], webhooks.length);
        t.strictSame(direct, general);
        t.equal(direct.stored.length, given.filter(({ kind }) => KINDS[kind] !== 'deleted').length);
      }),
      { numRuns: 25 },
    );
  },
);

interface JobPayload {
  readonly attempt: number;
  readonly bytes: number;
  readonly webhooks: string[];
  readonly subscriptions: number[];
}

interface Placed {
  readonly place?: number | undefined;
}
