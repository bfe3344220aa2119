// Which subscriptions a webhook that is sent by event type goes to, whatever was done to them before.
import fc from 'fast-check';
import pg from 'pg';
import t from 'tap';
import { createTestDatabase } from '../helpers/database.ts';

const TENANTS = ['default', 'other'] as const;
const PATTERNS = [
  '*',
  'order.*',
  'order.created',
  'order.created.eu',
  'posthorn.*',
  'posthorn.x',
  'user',
];
const TYPES = ['order.created', 'order.created.eu', 'order', 'user', 'posthorn.x', null];
const CHANNELS = ['a', 'b', 'c,"d'];

interface Subscription {
  readonly tenant: (typeof TENANTS)[number];
  readonly event_types: readonly (string | null)[] | null;
  readonly channels: readonly string[] | null;
  readonly status: 'active' | 'paused' | 'disabled';
  readonly deleted: boolean;
}

const subscription: fc.Arbitrary<Subscription> = fc.record({
  tenant: fc.constantFrom(...TENANTS),
  event_types: fc.option(fc.array(fc.constantFrom(...PATTERNS, null), { maxLength: 4 })),
  channels: fc.option(fc.array(fc.constantFrom(...CHANNELS), { maxLength: 3 })),
  status: fc.constantFrom('active', 'paused', 'disabled'),
  deleted: fc.boolean(),
});
/** A new subscription, another state of one that there is, or the end of its row. */
const change = fc.record({
  nth: fc.nat(9),
  to: fc.option(subscription, { freq: 8 }),
});
const webhook = fc.record({
  tenant: fc.constantFrom(...TENANTS),
  type: fc.constantFrom(...TYPES),
  channels: fc.option(fc.array(fc.constantFrom(...CHANNELS), { minLength: 1, maxLength: 3 })),
});
type Sent = typeof webhook extends fc.Arbitrary<infer W> ? W : never;

/** The rule for event types and channels as docs/ states it. */
function wants({ event_types, channels, ...s }: Subscription, sent: Sent): boolean {
  const own = sent.type?.startsWith('posthorn.') === true;
  const matches = (pattern: string | null) =>
    pattern !== null &&
    (pattern === sent.type ||
      (pattern === '*' && !own) ||
      (pattern.endsWith('.*') && sent.type?.startsWith(pattern.slice(0, -1)) === true));
  return (
    s.tenant === sent.tenant &&
    !s.deleted &&
    s.status !== 'disabled' &&
    (event_types ?? ['*']).some(matches) &&
    (channels === null || channels.some((channel) => sent.channels?.includes(channel)))
  );
}

t.test('a webhook goes to the subscriptions that match it as they are now', async (t) => {
  const pool = new pg.Pool({ connectionString: await createTestDatabase(t), max: 1 });
  t.teardown(() => pool.end());
  await pool.query(`insert into posthorn.tenants (id) values ('other')`);

  async function apply(id: number, to: Subscription | null): Promise<void> {
    if (to === null) {
      await pool.query('delete from posthorn.subscriptions where id = $1', [id]);
      return;
    }
    await pool.query(
      `insert into posthorn.subscriptions (id, url, tenant, event_types, channels, status, deleted_at)
       overriding system value
       values ($1, 'http://a.example/', $2, $3, $4, $5, case when $6 then now() end)
       on conflict (id) do update set tenant = $2, event_types = $3, channels = $4, status = $5,
         deleted_at = case when $6 then now() end`,
      [id, to.tenant, to.event_types, to.channels, to.status, to.deleted],
    );
  }

  async function send({ tenant, type, channels }: Sent): Promise<number[]> {
    const { rows } = await pool.query<{ id: number }>(
      `with a as materialized (
         select * from posthorn.accept('{}'::bytea, '{0}', '{2}', '{application/json}', array[null::integer],
           array[$1], array[$2], array[$3::text[]::text]))
       select ids[1] as webhook from a`,
      [tenant, type, channels],
    );
    const [{ webhook }] = rows as unknown as [{ webhook: string }];
    const owed = await pool.query<{ subscription_id: number }>(
      'select subscription_id from posthorn.deliveries where webhook_id = $1 order by 1',
      [webhook],
    );
    return owed.rows.map(({ subscription_id }) => subscription_id);
  }

  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { minLength: 1, maxLength: 20 }),
      fc.array(webhook, { minLength: 1, maxLength: 5 }),
      async (changes, webhooks) => {
        await pool.query('begin');
        try {
          const now = new Map<number, Subscription>();
          for (const { nth, to } of changes) {
            await apply(nth + 1, to);
            if (to === null) now.delete(nth + 1);
            else now.set(nth + 1, to);
          }
          for (const sent of webhooks) {
            const expected = [...now].filter(([, s]) => wants(s, sent)).map(([id]) => id);
            t.strictSame(
              await send(sent),
              expected.sort((a, b) => a - b),
              JSON.stringify(sent),
            );
          }
          const { rows } = await pool.query(
            `select from posthorn.subscription_event_types e
             where not exists (select from posthorn.subscriptions s
               where s.id = e.subscription_id and s.tenant = e.tenant and s.deleted_at is null)`,
          );
          t.equal(rows.length, 0, 'nothing is kept for a subscription that is deleted');
        } finally {
          await pool.query('rollback');
        }
      },
    ),
    { numRuns: 100 },
  );
});
