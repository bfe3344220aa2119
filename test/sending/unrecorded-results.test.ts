import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import t, { type Test } from 'tap';
import { connect } from '../helpers/database.ts';
import { deliveriesOf, healthOf, ingestUntilOpen, subscribeAs } from '../helpers/health.ts';
import { collectLog } from '../helpers/log.ts';
import { type Receiver, startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const WEBHOOKS = 3;

/** Makes a statement on a table fail, for the rows that fit. */
async function breakTable(
  client: pg.Client,
  { table, event, when }: { table: string; event: string; when: string },
): Promise<void> {
  await client.query(`
    create or replace function public.refuse() returns trigger language plpgsql as
      $$ begin raise exception 'refused by a test'; end $$`);
  await client.query(
    `create trigger refuse before ${event} on posthorn.${table} for each row when (${when}) execute function public.refuse()`,
  );
}

async function mend(client: pg.Client, table: string): Promise<void> {
  // With the service at work on the same tables it may be chosen to break a deadlock.
  await until('it is mended', async () => {
    await client.query(`drop trigger if exists refuse on posthorn.${table}`);
    return true;
  });
}

/** How often each webhook was sent. */
function countSent({ received }: Receiver): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { headers } of received) {
    const id = String(headers['webhook-id']);
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return counts;
}

async function numbersOf(client: pg.Client, subscriptionId: number): Promise<string[]> {
  const { rows } = await client.query(
    `select string_agg(coalesce(attempt_number::text, '-'), ',' order by at, attempt_number) as numbers
     from posthorn.delivery_attempts where subscription_id = $1 group by webhook_id`,
    [subscriptionId],
  );
  return rows.map(({ numbers }) => numbers);
}

/** Waits until readiness has been off for so long that each path had time to send again. */
async function watchFor(ms: number): Promise<void> {
  await sleep(ms);
}

t.test('what cannot be recorded is sent once, and recorded when it can be', async (t) => {
  const { log, lines } = collectLog();
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '100ms' }, log);
  const client = await connect(t, posthorn.databaseUrl);
  const policies: Record<string, object> = {
    queue: {},
    strict: { ordering: 'strict' },
    limited: { rate_limit: { limit: 100, per: '1s' } },
    pinned: { max_in_flight: 1 },
  };
  const paths = await Promise.all(
    Object.entries(policies).map(async ([name, policy]) => {
      // The first request fails, so that there is a second attempt to be numbered.
      const receiver = await startReceiver(t, (response, _request, nth) => {
        response.statusCode = nth === 1 ? 500 : 200;
        response.end();
      });
      return { name, receiver, id: await subscribeAs(posthorn, { url: receiver.url, ...policy }) };
    }),
  );
  const brokenAt = performance.now();
  await breakTable(client, { table: 'delivery_attempts', event: 'insert', when: 'true' });
  for (const { id } of paths) for (let n = 0; n < WEBHOOKS; n++) await posthorn.ingest(id, { n });
  for (const { receiver } of paths) await receiver.waitFor(1);
  const { json } = await until('readiness says what fails', async () => {
    const reply = await posthorn.request('GET', '/readyz');
    return reply.status === 503 && reply;
  });
  t.match(json.detail, /recording attempts \(record_attempts\) since 20\d\d-/);
  await watchFor(8_000);
  for (const { name, receiver } of paths) {
    t.equal(countSent(receiver).size, name === 'strict' ? 1 : WEBHOOKS, `${name} goes on`);
    for (const count of countSent(receiver).values()) t.equal(count, 1, `${name} was sent once`);
  }
  const warnings = lines.filter(({ loop, level }) => loop === 'record_attempts' && level >= 40);
  const minutes = (performance.now() - brokenAt) / 60_000;
  t.ok(warnings.length >= 1 && warnings.length <= 1 + minutes, 'a warning, once a minute');
  t.match(warnings[0], { reason: 'refused by a test' });

  await mend(client, 'delivery_attempts');
  for (const { name, id } of paths) {
    await until(`all of ${name} is delivered`, async () => {
      const done = await deliveriesOf(posthorn, id, 'succeeded');
      return done.length === WEBHOOKS;
    });
    t.strictSame((await numbersOf(client, id)).sort(), ['1', '1', '1,2'], `${name} is numbered`);
  }
  await until('readiness is back', async () => {
    return (await posthorn.request('GET', '/readyz')).status === 200;
  });
  t.ok(lines.some(({ loop, msg }) => loop === 'record_attempts' && /works again/.test(msg)));
});

t.test('one result that cannot be recorded holds up no other', async (t) => {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  const receiver = await startReceiver(t);
  const bad = await posthorn.subscribe(`${receiver.url}/bad`);
  const good = await posthorn.subscribe(`${receiver.url}/good`);
  await breakTable(client, {
    table: 'delivery_attempts',
    event: 'insert',
    when: `new.subscription_id = ${bad}`,
  });
  const count = 40;
  for (let n = 0; n < count; n++) {
    if (n % 10 === 0) await posthorn.ingest(bad, { n });
    await posthorn.ingest(good, { n });
  }
  await until('the others are recorded', async () => {
    return (await deliveriesOf(posthorn, good, 'succeeded')).length === count;
  });
  const waiting = await deliveriesOf(posthorn, bad, 'pending');
  t.equal(waiting.length, count / 10);
  // After a minute its job counts as lost, and another one is made.
  const { rows } = await client.query(`select id from graphile_worker.add_job('deliver', $1)`, [
    JSON.stringify({
      attempt: 1,
      bytes: 1,
      webhooks: [waiting[0].webhook_id],
      subscriptions: [bad],
    }),
  ]);
  await until('that job is done', async () => {
    const found = await client.query('select from graphile_worker.jobs where id = $1', [
      rows[0].id,
    ]);
    return found.rowCount === 0;
  });
  await mend(client, 'delivery_attempts');
  await until('and these too', async () => {
    return (await deliveriesOf(posthorn, bad, 'succeeded')).length === count / 10;
  });
  t.equal(receiver.received.length, count + count / 10, 'none was sent twice');
});

t.test('what waits to be recorded is bounded: then the rest is held', async (t) => {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  const receiver = await startReceiver(t);
  const id = await posthorn.subscribe(receiver.url);
  await breakTable(client, { table: 'delivery_attempts', event: 'insert', when: 'true' });
  for (let n = 0; n < 10; n++) await posthorn.ingest(id, { n });
  await receiver.waitFor(10);
  await until('it is known that they cannot be recorded', async () => {
    return (await posthorn.request('GET', '/readyz')).status === 503;
  });
  // One after another, so that each is sent or held before the next: a busy machine records late.
  for (let n = 10; n < 40; n++) {
    await posthorn.ingest(id, { n });
    await until('it is sent or held', async () => {
      const held = (await deliveriesOf(posthorn, id, 'held')).length;
      return held + receiver.received.length > n;
    });
  }
  await until('the rest is held', async () => {
    return (await deliveriesOf(posthorn, id, 'held')).length === 40 - receiver.received.length;
  });
  // A result counts once it could not be recorded, which a busy machine tries late.
  t.ok(receiver.received.length <= 35, `${receiver.received.length} of 40 were sent`);
  await mend(client, 'delivery_attempts');
  await until('all is delivered', async () => {
    return (await deliveriesOf(posthorn, id, 'succeeded')).length === 40;
  });
  t.equal(receiver.received.length, 40);
});

/** Starts a service with a receiver that is down, and opens its circuit. */
async function startDown(t: Test) {
  const posthorn = await startTestService(t, {
    POSTHORN_CIRCUIT: 'failures=3,over=100ms,probe=200ms,max=400ms',
    POSTHORN_RETRY_SCHEDULE: '50ms,50ms,50ms,50ms,50ms,50ms,50ms,50ms',
  });
  const client = await connect(t, posthorn.databaseUrl);
  const state = { down: true };
  const receiver = await startReceiver(t, (response) => {
    response.statusCode = state.down ? 500 : 200;
    response.end();
  });
  const id = await posthorn.subscribe(receiver.url);
  const webhooks = await ingestUntilOpen(posthorn, id);
  return { posthorn, client, receiver, state, id, webhooks };
}

t.test('a probe that cannot be recorded is not followed by the next', async (t) => {
  const { posthorn, client, receiver, state, id, webhooks } = await startDown(t);
  await breakTable(client, { table: 'delivery_attempts', event: 'insert', when: 'true' });
  await until('readiness says so', async () => {
    return (await posthorn.request('GET', '/readyz')).status === 503;
  });
  const before = receiver.received.length;
  await watchFor(4_000);
  t.ok(receiver.received.length - before <= 2, `${receiver.received.length - before} requests`);
  state.down = false;
  await mend(client, 'delivery_attempts');
  await until('all is delivered', async () => {
    return (await deliveriesOf(posthorn, id, 'succeeded')).length === webhooks.length;
  });
});

t.test('a probe that cannot be put off is followed by the next after growing times', async (t) => {
  const { posthorn, client, receiver, state, id, webhooks } = await startDown(t);
  await client.query('alter function posthorn.report_failure rename to broken');
  await until('readiness says so', async () => {
    const { status, json } = await posthorn.request('GET', '/readyz');
    return status === 503 && json.detail.includes('write_circuits');
  });
  const before = receiver.received.length;
  await watchFor(5_000);
  t.ok(receiver.received.length - before <= 2, `${receiver.received.length - before} requests`);
  state.down = false;
  await client.query('alter function posthorn.broken rename to report_failure');
  await until('the circuit is closed', async () => {
    return (await healthOf(posthorn, id)).circuit.state === 'closed';
  });
  await until('all is delivered', async () => {
    return (await deliveriesOf(posthorn, id, 'succeeded')).length === webhooks.length;
  });
});

t.test('what cannot be held is not sent instead', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1s' });
  const client = await connect(t, posthorn.databaseUrl);
  const receiver = await startReceiver(t, (response, _request, nth) => {
    response.statusCode = nth === 1 ? 500 : 200;
    response.end();
  });
  const id = await posthorn.subscribe(receiver.url);
  await posthorn.ingest(id);
  await receiver.waitFor(1);
  // Its retry is in the queue, and finds that it has to go through the backlog.
  await breakTable(client, { table: 'deliveries', event: 'update', when: `new.state = 'held'` });
  await posthorn.request('PATCH', `/v1/subscriptions/${id}`, { max_in_flight: 1 });
  await until('readiness says so', async () => {
    const { status, json } = await posthorn.request('GET', '/readyz');
    return status === 503 && json.detail.includes('hold_deliveries');
  });
  t.equal(receiver.received.length, 1);
  await mend(client, 'deliveries');
  await until('it is delivered', async () => {
    return (await deliveriesOf(posthorn, id, 'succeeded')).length === 1;
  });
  t.equal(receiver.received.length, 2);
});
