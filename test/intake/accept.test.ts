import fc from 'fast-check';
import pg from 'pg';
import t from 'tap';
import { acceptWebhooks, type IncomingWebhook } from '../../src/intake/accept.sql.ts';
import { createTestDatabase } from '../helpers/database.ts';

/** The receivers of a webhook: the subscription at this index of the test's list, or null for all of its event type. */
const TARGETS = {
  active: 0,
  'with channels': 1,
  'by type': null,
  'of another tenant': 2,
  held: 3,
  paused: 4,
  deleted: 5,
} as const;
type Target = keyof typeof TARGETS;
/** The small statements accept these. */
const SMALL: Target[] = ['active', 'with channels', 'by type'];
const ALL = Object.keys(TARGETS) as Target[];
/** The most deliveries that are handed over; null: none, as there is no worker. */
const ROOMS = [null, 0, 3, 1_000];
const WORKER = 7;

const webhooksTo = (targets: Target[]) =>
  fc.array(
    fc.record({
      target: fc.constantFrom(...targets),
      eventType: fc.option(fc.constantFrom('order.created', 'order.paid', 'user')),
      channels: fc.option(fc.uniqueArray(fc.constantFrom('a', 'b', 'c,"d'), { minLength: 1 })),
      orderingKey: fc.option(fc.constantFrom('k', 'l')),
      headers: fc.option(fc.constantFrom({ 'x-a': 'b' }, { 'x-c': 'd,"{\\é', 'x-e': '' })),
      body: fc.uint8Array({ minLength: 0, maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      key: fc.option(fc.constantFrom('one', 'two'), { freq: 2 }),
    }),
    { minLength: 1, maxLength: 80 },
  );
const WEBHOOKS = fc.oneof(
  { arbitrary: webhooksTo(SMALL), weight: 4 },
  { arbitrary: webhooksTo(['by type']), weight: 1 },
  { arbitrary: webhooksTo(ALL), weight: 1 },
);

t.test(
  'the small and the general statement store webhooks alike, in all columns',
  { timeout: 600_000 },
  async (t) => {
    const databaseUrl = await createTestDatabase(t);
    const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });
    t.teardown(() => pool.end());
    await pool.query(`insert into posthorn.tenants (id) values ('other')`);
    const { rows } = await pool.query<{ id: number }>(`
      insert into posthorn.subscriptions
        (url, tenant, event_types, channels, max_in_flight, status, deleted_at)
      values ('http://a.example/', 'default', '{order.*}', null, null, 'active', null),
        ('http://a.example/', 'default', '{order.paid,order.*}', '{a,b}', null, 'active', null),
        ('http://a.example/', 'other', null, null, null, 'active', null),
        ('http://a.example/', 'default', '{none}', null, 2, 'active', null),
        ('http://a.example/', 'default', '{none}', null, null, 'paused', null),
        ('http://a.example/', 'default', null, null, null, 'active', now())
      returning id`);
    const idOf = (target: Target): number | null => {
      const index = TARGETS[target];
      return index === null ? null : (rows[index]?.id as number);
    };

    /** Accepts the webhooks, and returns what is stored of the first so many, in their order. */
    async function accept(webhooks: IncomingWebhook[], count: number, room: number | null) {
      for (const table of [
        'posthorn.deliveries',
        'posthorn.webhook_payloads',
        'posthorn.idempotency_keys',
        'graphile_worker._private_jobs',
      ])
        await pool.query(`delete from ${table}`);
      const accepted = await acceptWebhooks(pool, webhooks, {
        bulk: false,
        apart: false,
        worker: room === null ? undefined : { number: WORKER, room },
      });
      const answers = accepted.answers.slice(0, count);
      const places = new Map(
        answers.map((answer, place) => [(answer as { id: string })?.id, place]),
      );
      const stored = await pool.query<Stored>(`
        select p.id, p.tenant, p.event_type, p.content_type, p.body, p.channels, p.ordering_key, p.headers,
          d.subscription_id, d.state, d.queued, d.attempt_count, d.ended_at,
          d.next_attempt_at <= now() as due, d.handed_to
        from posthorn.webhook_payloads p
        left join posthorn.deliveries d on d.webhook_id = p.id
        order by d.subscription_id`);
      const keys = await pool.query<{ webhook_ids: string[] }>(
        'select tenant, key, fingerprint, webhook_ids, deliveries from posthorn.idempotency_keys order by key',
      );
      const jobs = await pool.query<{ payload: JobPayload }>(
        'select payload from graphile_worker._private_jobs',
      );
      const woken = jobs.rows.flatMap(({ payload: { webhooks: ids, subscriptions } }) =>
        ids.map((id, at) => `${id} to ${subscriptions[at]}`),
      );
      const handed = accepted.handedOver.map(({ id, webhook, subscriptionId }) => {
        t.equal(places.get(id), webhooks.indexOf(webhook), 'the webhook of its id is handed over');
        return `${id} to ${subscriptionId}`;
      });
      const pending = stored.rows.filter(({ state }) => state === 'pending');
      const names = (rows: Stored[]) =>
        rows.map(({ id, subscription_id }) => `${id} to ${subscription_id}`).sort();
      t.strictSame(
        handed.toSorted(),
        names(pending.filter(({ handed_to }) => handed_to === WORKER)),
        'the worker gets what is stored as handed over',
      );
      t.strictSame(
        [...woken, ...handed].sort(),
        names(pending),
        'each delivery that is due has a job, or is handed over',
      );
      t.equal(handed.length, Math.min(room ?? 0, pending.length));
      return {
        answers: answers.map((answer) =>
          answer === null ? null : { ...(answer as object), id: undefined },
        ),
        stored: stored.rows
          .filter(({ id }) => places.has(id))
          // When a webhook's deliveries have no room together, any of them is handed over.
          .map((row) => ({
            ...row,
            id: undefined,
            handed_to: null,
            place: places.get(row.id) ?? 0,
          }))
          .sort((a, b) => a.place - b.place),
        keys: keys.rows.map((row) => ({
          ...row,
          webhook_ids: row.webhook_ids.map((id) => places.get(id)),
        })),
        jobs: jobs.rows
          .map(({ payload: { attempt, webhooks } }) => ({ attempt, size: webhooks.length }))
          .sort((a, b) => a.size - b.size),
        bytes: jobs.rows.reduce((sum, { payload }) => sum + payload.bytes, 0),
      };
    }

    // However Postgres joins: it promises no order of rows.
    const JOINS = ['nestloop', 'hashjoin', 'mergejoin'];
    await pool.query(`set plan_cache_mode = 'force_custom_plan'; set jit = off`);
    await fc.assert(
      fc.asyncProperty(
        WEBHOOKS,
        fc.constantFrom(...JOINS),
        fc.constantFrom(...ROOMS),
        async (given, join, room) => {
          for (const one of JOINS) await pool.query(`set enable_${one} = ${one === join}`);
          const webhooks = given.map(
            ({ target, key, ...rest }): IncomingWebhook => ({
              ...rest,
              subscriptionId: idOf(target),
              tenant: 'default',
              contentType: 'application/json',
              dataStart: 0,
              deliverAt: null,
              idempotency: key === null ? null : { key, fingerprint: Buffer.alloc(32, key) },
            }),
          );
          const isSmall = given.every(({ target }) => SMALL.includes(target));
          // If the small statements passed these on, the general one would be compared with itself.
          if (isSmall) await pool.query('alter function posthorn.accept_general rename to away');
          const direct = await accept(webhooks, webhooks.length, room);
          if (isSmall) await pool.query('alter function posthorn.away rename to accept_general');
          const held: IncomingWebhook = {
            ...(webhooks[0] as IncomingWebhook),
            subscriptionId: idOf('held'),
            idempotency: null,
          };
          const general = await accept([...webhooks, held], webhooks.length, room);
          t.strictSame(direct, general);
          t.strictSame(
            direct.answers.map((answer) => answer !== null),
            given.map(({ target }) => target !== 'deleted'),
          );
        },
      ),
      { numRuns: 50 },
    );
  },
);

interface JobPayload {
  readonly attempt: number;
  readonly bytes: number;
  readonly webhooks: string[];
  readonly subscriptions: number[];
}

interface Stored {
  readonly id: string;
  readonly subscription_id: number | null;
  readonly state: string | null;
  readonly handed_to: number | null;
}
