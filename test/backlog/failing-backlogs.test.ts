import type pg from 'pg';
import t from 'tap';
import { createSender } from '../../src/backlog/sender.ts';
import { createLimiter } from '../../src/concurrency/limiter.ts';
import { createLoopHealth } from '../../src/lib/loop-health.ts';
import type { SubscriptionCache } from '../../src/subscriptions/cache.ts';
import { connect } from '../helpers/database.ts';
import { deliveriesOf, subscribeAs } from '../helpers/health.ts';
import { collectLog } from '../helpers/log.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const BAD = 7;
const BODY = Buffer.from('{}');

/** A database with one held delivery of each subscription, whose statements fail where the bad one is among them. */
function createPoolOfHeld(): pg.Pool {
  const webhookOf = (id: number) => `01900000-0000-7000-8000-${String(id).padStart(12, '0')}`;
  const rowOf = (id: number) =>
    Buffer.concat([Buffer.from(webhookOf(id).replaceAll('-', ''), 'hex'), Buffer.alloc(16)]);
  const listOf = (array: unknown) => String(array).slice(1, -1).split(',');
  const query = async ({
    name,
    text,
    values,
  }: {
    name?: string;
    text: string;
    values: unknown[];
  }) => {
    if (name?.startsWith('live-history')) return { rows: [{ from: null, below: null }] };
    if (name === 'other-live-days') return { rows: [] };
    if (name?.startsWith('read-held')) {
      const ids = listOf(values[0]).map(Number);
      if (ids.includes(BAD)) throw new Error('this one cannot be read');
      const settled_to = webhookOf(0);
      return { rows: ids.map((id) => ({ subscription_id: id, settled_to, page: rowOf(id) })) };
    }
    if (text.includes('from posthorn.webhook_payloads p'))
      return {
        rows: listOf(values[0]).map((id) => [
          id,
          'default',
          'application/json',
          null,
          '2',
          BODY,
          null,
        ]),
      };
    const rows = listOf(values[0]).map((webhook_id) => ({
      webhook_id,
      subscription_id: Number(webhook_id.slice(-12)),
      attempt_count: 0,
      schedule_offset: 0,
      probe_count: 0,
    }));
    return { rows, rowCount: rows.length };
  };
  return { query } as unknown as pg.Pool;
}

t.test('a backlog whose statement fails stops no other, and is tried again', async (t) => {
  const { log, lines } = collectLog();
  const health = createLoopHealth({ log, isOutage: () => false });
  const sent: number[] = [];
  let wakings = 0;
  const sender = createSender({
    pool: createPoolOfHeld(),
    ...createLimiter(100),
    subscriptions: { peek: () => null } as unknown as SubscriptionCache,
    attempt: async ({ subscriptionId }) => {
      sent.push(subscriptionId);
      return 'cancelled';
    },
    stillOwns: () => true,
    wake: () => {
      wakings += 1;
    },
    mayRecord: () => true,
    loop: health.watch('send_backlogs', 'sending held deliveries'),
    readLoop: health.watch('read_backlogs', 'reading long backlogs'),
  });
  for (let id = 1; id <= 50; id++) sender.add(id);
  await sender.sendReady();
  t.strictSame(
    sent.toSorted((a, b) => a - b),
    Array.from({ length: 50 }, (_, index) => index + 1).filter((id) => id !== BAD),
  );
  await until('the bad one was tried again, and that is told', async () => {
    await sender.sendReady();
    return health.reason() !== null;
  });
  const told = lines.filter(({ level }) => level >= 40);
  t.match(told, [
    { loop: 'send_backlogs', subscriptionId: BAD, reason: 'this one cannot be read' },
  ]);
  t.ok(wakings > 0);
  sender.remove(BAD);
  await sender.sendReady();
  t.equal(health.reason(), null);
  for (const id of sender.ids) sender.remove(id);
  await sender.idle();
});

t.test('a backlog that cannot be taken stops no other', async (t) => {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  const receiver = await startReceiver(t);
  const bad = await subscribeAs(posthorn, { url: `${receiver.url}/bad`, max_in_flight: 1 });
  const good = await subscribeAs(posthorn, { url: `${receiver.url}/good`, max_in_flight: 1 });
  await client.query(`
    create function posthorn.refuse() returns trigger language plpgsql as
      $$ begin raise exception 'refused by a test'; end $$;
    create trigger refuse before insert or update on posthorn.backlogs for each row
      when (new.subscription_id = ${bad} and new.owner is not null) execute function posthorn.refuse();
    update posthorn.backlogs set owner = null`);
  await client.query(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name like 'posthorn % session'`);
  // Whoever owned them has lost them.
  await client.query('delete from posthorn.workers');
  for (let n = 0; n < 10; n++) {
    await posthorn.ingest(bad, { n });
    await posthorn.ingest(good, { n });
  }
  await until('the other is delivered', async () => {
    return (await deliveriesOf(posthorn, good, 'succeeded')).length === 10;
  });
  const { json } = await until('readiness says so', async () => {
    const reply = await posthorn.request('GET', '/readyz');
    return reply.status === 503 && reply.json.detail.includes('take_backlogs') && reply;
  });
  t.match(json.detail, /taking backlogs/);
  // Its last owner may have sent some before it noticed.
  t.not((await deliveriesOf(posthorn, bad, 'held')).length, 0);
  await client.query('drop trigger refuse on posthorn.backlogs');
  await until('this one too', async () => {
    return (await deliveriesOf(posthorn, bad, 'succeeded')).length === 10;
  });
  t.equal(receiver.received.length, 20);
});
