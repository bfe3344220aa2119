import fc from 'fast-check';
import t from 'tap';
import { POOL_PLANS } from '../../src/db/planner.ts';
import { createPool } from '../../src/db/pool.ts';
import { searchWebhooks } from '../../src/history/search.ts';
import type { WebhookSearch } from '../../src/history/webhooks.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startTestService } from '../helpers/service.ts';

const STATES = ['pending', 'held', 'succeeded', 'failed', 'cancelled'] as const;
const WEBHOOKS = 2_500;
/** A search that finds many webhooks is read in larger pages: more small ones would prove nothing new. */
const MAX_PAGES = 30;

/** The condition of each filter, as one would write it without thinking of its cost. */
const MEANING: Readonly<Record<string, string>> = {
  webhookId: 'w.id = $::uuid',
  eventType: 'w.event_type = $',
  channel: '$ = any(w.channels)',
  orderingKey: 'w.ordering_key = $',
  bodyPath: `jsonb_path_match(convert_from(w.body, 'UTF8')::jsonb, $::jsonpath)`,
  since: 'w.id >= posthorn.uuidv7_floor($)',
  until: 'w.id < posthorn.uuidv7_floor($)',
};
const MEANING_OF_DELIVERY: Readonly<Record<string, string>> = {
  subscriptionId: 'd.subscription_id = $::integer',
  state: 'd.state = $::posthorn.delivery_state',
};
const MEANING_OF_ATTEMPT: Readonly<Record<string, string>> = {
  responseCode: 'a.response_code = $::integer',
  errorCode: 'a.error_code = $',
};

t.test('whatever is searched for, the pages have each webhook once, in order', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const pool = createPool({
    connectionString: databaseUrl,
    purpose: 'test',
    max: 1,
    settings: POOL_PLANS.lists,
  });
  t.teardown(() => pool.end());
  await client.query(`insert into posthorn.tenants (id) values ('acme'), ('many')`);
  await client.query(
    `insert into posthorn.subscriptions (url, tenant)
     select 'https://example.com', case when n <= 3 then 'default' when n <= 5 then 'acme' else 'many' end
     from generate_series(1, 65) n`,
  );
  await client.query('select posthorn.ensure_partitions(current_date - 4, current_date)');
  // Each webhook goes to up to three subscriptions of its tenant, and some attempts fail before one succeeds.
  await client.query(
    `create temporary table made as
     select n, overlay(posthorn.uuidv7()::text placing
         left(posthorn.uuidv7_floor(now() - n * interval '20 seconds')::text, 13) from 1 for 13)::uuid as id,
       now() - n * interval '20 seconds' as at,
       case when n % 5 = 0 then 'acme' when n % 11 = 0 then 'many' else 'default' end as tenant
     from generate_series(1, ${WEBHOOKS}) n;
     insert into posthorn.webhook_payloads (id, tenant, event_type, channels, ordering_key, content_type, body)
     select id, tenant, (array['order.paid', 'user.gone'])[1 + n % 2],
       case when n % 3 = 0 then array['one', 'two'] end, case when n % 4 = 0 then 'k' || n % 8 end,
       'application/json', convert_to(json_build_object('total', n % 50)::text, 'UTF8')
     from made;
     insert into posthorn.deliveries (webhook_id, subscription_id, state, next_attempt_at, attempt_count)
     select m.id, s.id, state, case when state in ('pending', 'held') then now() end, 1
     from made m
     join posthorn.subscriptions s on s.tenant = m.tenant and (m.n + s.id) % 3 < 2
     cross join lateral (
       select (array['pending', 'held', 'failed', 'cancelled', 'succeeded', 'succeeded', 'succeeded', 'succeeded'])
         [1 + (m.n * 7 + s.id) % 8]::posthorn.delivery_state as state) as made_state
     where m.tenant <> 'many' or s.id % 10 = m.n % 10;
     insert into posthorn.delivery_attempts
       (at, webhook_id, subscription_id, attempt_number, status, response_code, duration_ms, error_code)
     select posthorn.uuidv7_time(d.webhook_id) + tries * interval '7 minutes', d.webhook_id, d.subscription_id, tries,
       case when code = 200 then 'success' else 'failed' end::posthorn.attempt_status, code, 5,
       case when code = 200 then null when code = 410 then 'gone' else 'http_status' end
     from posthorn.deliveries d
     cross join generate_series(1, 3) tries
     cross join lateral (
       select (array[200, 200, 200, 503, 500, 410])[1 + (abs(hashtext(d.webhook_id::text)) + tries * 5 + d.subscription_id) % 6] as code
     ) as answer;
     analyze`,
  );
  const { rows: some } = await client.query<{ id: string }>(
    'select id from posthorn.webhook_payloads order by id limit 3',
  );
  const moment = fc.integer({ min: 0, max: 800 }).map((ms) => new Date(Date.now() - ms * 60_000));
  const maybe = <T>(value: fc.Arbitrary<T>) =>
    fc.option(value, { nil: undefined, freq: 2 }) as fc.Arbitrary<T | undefined>;
  const rarely = <T>(value: fc.Arbitrary<T>) =>
    fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });
  const searches = fc.record({
    tenant: fc.constantFrom('default', 'acme', 'many'),
    webhookId: rarely(fc.constantFrom(...some.map(({ id }) => id))),
    eventType: rarely(fc.constantFrom('order.paid', 'user.gone')),
    channel: rarely(fc.constantFrom('two', 'three')),
    orderingKey: rarely(fc.constantFrom('k0', 'k4')),
    bodyPath: rarely(fc.constantFrom('$.total == 7', '$.total > 40')),
    since: rarely(moment),
    until: rarely(moment),
    subscriptionId: rarely(fc.integer({ min: 1, max: 9 })),
    state: maybe(fc.constantFrom(...STATES)),
    responseCode: maybe(fc.constantFrom(200, 500, 503)),
    errorCode: rarely(fc.constantFrom('gone', 'http_status')),
  });

  /** What the search should find, and the order of it. */
  async function expected(search: WebhookSearch): Promise<string[]> {
    const values: unknown[] = [search.tenant];
    const conditions = (meaning: Readonly<Record<string, string>>) =>
      Object.entries(search)
        .filter(([name, value]) => value !== undefined && name in meaning)
        .map(([name, value]) => {
          values.push(value);
          return ` and ${meaning[name]?.replace('$', `$${values.length}`).replace(`$${values.length}.`, '$.')}`;
        })
        .join('');
    const [webhook, delivery, attempt] = [
      conditions(MEANING),
      conditions(MEANING_OF_DELIVERY),
      conditions(MEANING_OF_ATTEMPT),
    ];
    const { rows } = await client.query<{ id: string }>(
      `select w.id
       from posthorn.webhook_payloads w
       left join posthorn.deliveries d on d.webhook_id = w.id
       left join posthorn.delivery_attempts a on a.webhook_id = d.webhook_id and a.subscription_id = d.subscription_id
       where w.tenant = $1${webhook}${delivery}${attempt}
       group by w.id
       order by ${attempt === '' ? 'w.id' : 'max((extract(epoch from a.at) * 1000000)::bigint) desc, max(a.id)'} desc`,
      values,
    );
    return rows.map(({ id }) => id);
  }

  let found = 0;
  await fc.assert(
    fc.asyncProperty(searches, fc.integer({ min: 1, max: 400 }), async (search, some) => {
      const all = await expected(search);
      const limit = Math.max(some, Math.ceil(all.length / MAX_PAGES));
      const ids: string[] = [];
      for (let after: readonly string[] | undefined; ; ) {
        const page = await searchWebhooks(pool, search, limit, after);
        if (page.rows.length > limit) throw new Error('a page has more rows than its limit');
        ids.push(...page.rows.map(({ webhook_id }) => webhook_id));
        if ((page.searchedUntil === null) !== (page.next === null))
          throw new Error('it does not say how far it searched');
        if (page.next === null) break;
        after = page.next;
      }
      found += all.length;
      if (JSON.stringify(ids) !== JSON.stringify(all))
        throw new Error(`found ${ids.length} of ${all.length}: ${JSON.stringify(search)}`);
    }),
    { numRuns: 150 },
  );
  t.ok(found > 1_000, `${found} webhooks were found`);
});

t.test('a search by content says how far it looked, and its cost is bounded', async (t) => {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  // 60 MB of JSON, in which one webhook is looked for.
  await client.query(
    `insert into posthorn.webhook_payloads (id, event_type, content_type, body)
     select overlay(posthorn.uuidv7()::text placing
         left(posthorn.uuidv7_floor(now() - n * interval '1 second')::text, 13) from 1 for 13)::uuid,
       'a.b', 'application/json',
       convert_to(json_build_object('n', n, 'list', (select json_agg(i) from generate_series(1, 20000) i))::text, 'UTF8')
     from generate_series(1, 500) n`,
  );
  const search = (path: string, rest = '') =>
    posthorn.request('GET', `/v1/webhooks?body_path=${encodeURIComponent(path)}${rest}`);
  let pages = 0;
  let last = new Date();
  for (let cursor = ''; ; ) {
    const { status, json } = await search('$.n == 450', cursor);
    t.equal(status, 200);
    pages += 1;
    if (json.next_cursor === null) {
      t.fail('it was not found');
      return;
    }
    if (json.data.length > 0) break;
    const until = new Date(json.searched_until);
    t.ok(until < last, 'each page goes further back');
    last = until;
    cursor = `&cursor=${json.next_cursor}`;
  }
  t.ok(pages > 1, `${pages} pages: none reads everything`);

  const { json } = await search('$.n == 1');
  t.equal(json.data.length, 1);
  for (const [path, says] of [
    ['$.n ==', /not a JSON path/],
    ['$.**.n == 1', /all depths/],
    ['$.n.double() == 1', /method/],
    ['$.n like_regex "a"', /regular expression/],
  ] as const) {
    const reply = await search(path);
    t.equal(reply.status, 400, path);
    t.match(reply.json.errors[0], { field: 'query.body_path', message: says });
  }
});
