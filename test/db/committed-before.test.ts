import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import t, { type Test } from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { createRole } from '../helpers/sender.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const send = async (client: pg.Client): Promise<string> => {
  const { rows } = await client.query<{ id: string }>(`select posthorn.send('a', '1') as id`);
  return rows[0]?.id as string;
};
const before = async (client: pg.Client): Promise<string> => {
  const { rows } = await client.query<{ id: string }>('select posthorn.committed_before() as id');
  return rows[0]?.id as string;
};
/** Writes a mark, as a service does every ten seconds. */
const mark = (client: pg.Client) => client.query('select posthorn.mark_commits()');

async function start(t: Test) {
  const databaseUrl = await createTestDatabase(t);
  const [reader, sender, other] = [
    await connect(t, databaseUrl),
    await connect(t, databaseUrl),
    await connect(t, databaseUrl),
  ];
  // Transactions of other tests on the same server count too.
  const passes = (id: string) =>
    until('the watermark passes the webhook', async () => {
      await mark(other);
      return (await before(reader)) > id;
    });
  return { databaseUrl, reader, sender, other, passes };
}

t.test('the watermark passes a webhook when its transaction has ended', async (t) => {
  for (const end of ['commit', 'rollback']) {
    const { reader, sender, other, passes } = await start(t);
    await passes(await send(other));
    await sender.query('begin');
    const open = await send(sender);
    const later = await send(other);
    for (let n = 0; n < 5; n++) {
      await mark(other);
      t.ok((await before(reader)) <= open, `not before the ${end}`);
    }
    await sender.query(end);
    await passes(later);
  }
});

t.test('a transaction counts from its first write, however late it sends', async (t) => {
  const { reader, sender, other, passes } = await start(t);
  await sender.query('begin');
  await sender.query('select pg_current_xact_id()');
  const later = await send(other);
  await mark(other);
  t.ok((await before(reader)) <= later);
  await send(sender);
  await sender.query('savepoint a');
  const nested = await send(sender);
  await sender.query('release a');
  t.ok((await before(reader)) <= later);
  await sender.query('commit');
  await passes(nested);
});

t.test('an id is made after the number of its transaction', async (t) => {
  const { sender } = await start(t);
  const number = async () =>
    (await sender.query('select pg_current_xact_id_if_assigned()::text as xid')).rows[0].xid;
  await sender.query('begin');
  t.equal(await number(), null);
  await sender.query('select posthorn.uuidv7()');
  t.not(await number(), null);
  await sender.query('rollback');
});

t.test('a transaction that reads only holds nothing up', async (t) => {
  const { sender, other, passes } = await start(t);
  await sender.query('begin isolation level repeatable read');
  await sender.query('select 1 from posthorn.webhook_payloads');
  await passes(await send(other));
  await sender.query('commit');
});

t.test('a prepared transaction counts until it is committed', async (t) => {
  const { databaseUrl, reader, sender, other, passes } = await start(t);
  const { rows } = await other.query('show max_prepared_transactions');
  if (rows[0].max_prepared_transactions === '0') {
    t.pass('this server allows none');
    return;
  }
  const name = `of_${/posthorn_test_\w+/.exec(databaseUrl)?.[0]}`;
  await sender.query('begin');
  const prepared = await send(sender);
  await sender.query(`prepare transaction '${name}'`);
  await sender.end();
  const later = await send(other);
  await mark(other);
  t.ok((await before(reader)) <= prepared);
  await other.query(`commit prepared '${name}'`);
  await passes(later);
});

t.test('in a transaction with one snapshot, the watermark stays at what it sees', async (t) => {
  const { reader, sender, other, passes } = await start(t);
  await sender.query('begin');
  const open = await send(sender);
  await reader.query('begin isolation level repeatable read');
  t.ok((await before(reader)) <= open);
  await sender.query('commit');
  await mark(other);
  await send(other);
  t.ok((await before(reader)) <= open, 'the transaction of the reader does not see the webhook');
  await reader.query('commit');
  await passes(open);

  // The rows of a cursor are those of its snapshot, whenever they are fetched.
  await sender.query('begin');
  const second = await send(sender);
  await reader.query('begin');
  await reader.query(
    `declare c cursor for select posthorn.committed_before() as before from generate_series(1, 2) as n`,
  );
  await sender.query('commit');
  await mark(other);
  const { rows } = await reader.query('fetch all from c');
  for (const row of rows) t.ok(row.before <= second, `${row.before} is not above ${second}`);
  await reader.query('commit');
});

t.test('while a service runs, the watermark follows within seconds', async (t) => {
  const posthorn = await startTestService(t);
  const receiver = await startReceiver(t);
  const client = await connect(t, posthorn.databaseUrl);
  const role = await createRole(t, client);
  await client.query('select posthorn.allow_reporter($1), posthorn.allow_sender($1)', [role]);
  const subscription = await posthorn.subscribe(`${receiver.url}/hook`);
  const reporter = await connect(t, posthorn.databaseUrl);
  await reporter.query(`set session authorization ${role}`);
  // Something is always being written, so there is never a moment without a transaction.
  const busy = await connect(t, posthorn.databaseUrl);
  const id = await send(reporter);
  let open = true;
  const writing = (async () => {
    const next = await connect(t, posthorn.databaseUrl);
    await busy.query('begin; select pg_current_xact_id()');
    for (let [a, b] = [busy, next]; open; [a, b] = [b, a]) {
      await b.query('begin; select pg_current_xact_id()');
      await a.query('commit');
      await sleep(50);
    }
  })();
  await until('the watermark passes the webhook', async () => {
    // A service that sends nothing seldom looks.
    await posthorn.ingest(subscription);
    return (await before(reporter)) > id;
  });
  open = false;
  await writing;
});

t.test('old marks are deleted, except one that an open transaction needs', async (t) => {
  const { sender, other } = await start(t);
  const marks = async () => (await other.query('select from posthorn.commit_marks')).rowCount ?? 0;
  // Other tests write on the same server, and may have transactions open for a while.
  await until('nothing was written between two marks, so one is enough', async () => {
    await mark(other);
    const first = await marks();
    await mark(other);
    return (await marks()) === first;
  });
  for (let n = 0; n < 5; n++) {
    await other.query('select pg_current_xact_id()');
    await mark(other);
  }
  await sender.query('begin; select pg_current_xact_id()');
  await other.query(`update posthorn.commit_marks set at = at - interval '2 hours'`);
  await until('the mark that the open transaction needs is the only old one', async () => {
    await other.query('select pg_current_xact_id()');
    await mark(other);
    const { rows } = await other.query(
      `select count(*)::integer as old from posthorn.commit_marks where at < now() - interval '1 hour'`,
    );
    return rows[0].old === 1;
  });
  await sender.query('commit');
});

/** Keeps sending in transactions of its own kind until `ends` says so, and notes which webhooks were committed. */
async function sendOften(
  client: pg.Client,
  nth: number,
  goesOn: () => boolean,
  committed: Map<string, number>,
): Promise<void> {
  const pause = () => sleep(Math.random() * (nth % 4 === 0 ? 150 : 5));
  while (goesOn()) {
    await client.query(nth % 3 === 0 ? 'begin isolation level repeatable read' : 'begin');
    if (Math.random() < 0.3) await client.query('select pg_current_xact_id()');
    const ids: string[] = [];
    for (let n = 0; n < 1 + (nth % 3); n++) {
      await pause();
      await client.query('savepoint one');
      const id = await send(client);
      if (Math.random() < 0.2) await client.query('rollback to one');
      else ids.push(id);
    }
    await pause();
    const rolledBack = Math.random() < 0.2;
    await client.query(rolledBack ? 'rollback' : 'commit');
    if (!rolledBack) for (const id of ids) committed.set(id, performance.now());
  }
}

t.test(
  'who reads up to the watermark, again and again, misses no webhook and reads none twice',
  async (t) => {
    const { databaseUrl, reader, other } = await start(t);
    const committed = new Map<string, number>();
    const end = performance.now() + 8_000;
    const goesOn = () => performance.now() < end;
    const clients = await Promise.all(Array.from({ length: 10 }, () => connect(t, databaseUrl)));
    const senders = Promise.all(
      clients.map((client, nth) => sendOften(client, nth, goesOn, committed)),
    );
    const marking = (async () => {
      while (goesOn()) {
        await mark(other);
        await sleep(20);
      }
    })();

    const read = new Map<string, number>();
    let position = '00000000-0000-0000-0000-000000000000';
    let reads = 0;
    const readOn = async () => {
      const { rows } = await reader.query<{ before: string; ids: string[] }>(
        `select posthorn.committed_before() as before, array(
         select id::text from posthorn.webhook_payloads
         where id >= $1 and id < posthorn.committed_before() order by id) as ids`,
        [position],
      );
      const [row] = rows as [{ before: string; ids: string[] }];
      for (const id of row.ids) read.set(id, (read.get(id) ?? 0) + 1);
      if (row.ids.length > 0 && goesOn()) reads += 1;
      if (row.before > position) position = row.before;
    };
    while (goesOn()) await readOn();
    await Promise.all([senders, marking]);
    const last = [...committed.keys()].sort().at(-1) as string;
    await until('all are read', async () => {
      await mark(other);
      await readOn();
      return position > last;
    });
    const missed = [...committed.keys()].filter((id) => !read.has(id));
    t.strictSame(missed, [], `${committed.size} were committed`);
    t.strictSame(
      [...read].filter(([id, times]) => times > 1 || !committed.has(id)),
      [],
      'none was read twice, and none that was rolled back',
    );
    t.ok(reads > 5, `${reads} reads found some while others were being sent`);
    // Without a watermark, a reader would have missed those that were committed after later ones.
    const byId = [...committed].sort(([a], [b]) => (a < b ? -1 : 1));
    const outOfOrder = byId.filter(([, at], n) =>
      byId.slice(n + 1).some(([, later]) => later < at - 20),
    ).length;
    t.ok(outOfOrder > 10, `${outOfOrder} were committed after others with a later id`);
  },
);
