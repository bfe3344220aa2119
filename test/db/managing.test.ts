import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { Webhook } from 'standardwebhooks';
import t, { type Test } from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { createRole } from '../helpers/sender.ts';
import { startTestService } from '../helpers/service.ts';
import { addTenants } from '../helpers/tenants.ts';
import { until } from '../helpers/until.ts';

/** A service, and a session of a role that may manage and send, and do nothing else. */
async function start(t: Test, env: Record<string, string> = {}) {
  let answer = 200;
  const receiver = await startReceiver(t, (response) => {
    response.statusCode = answer;
    response.end();
  });
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '100ms', ...env });
  const owner = await connect(t, posthorn.databaseUrl);
  const role = await createRole(t, owner);
  await owner.query('select posthorn.allow_manager($1), posthorn.allow_sender($1)', [role]);
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(`set session authorization ${role}`);
  const value = async (statement: string, values?: unknown[]) => {
    const { rows } = await client.query({ text: statement, rowMode: 'array' }, values);
    return rows[0]?.[0];
  };
  const send = async (): Promise<string> =>
    value(`select posthorn.send('order.created', '{"id": 7}')`);
  const status = async (webhook: string) => {
    const { rows } = await client.query('select * from posthorn.status($1)', [webhook]);
    return rows;
  };
  const ends = (webhook: string, state: string) =>
    until(`${webhook} is ${state}`, async () => {
      const rows = await status(webhook);
      return rows.length > 0 && rows.every((row) => row.state === state) && rows;
    });
  return {
    ...{ receiver, posthorn, owner, client, value, send, status, ends },
    answers(code: number) {
      answer = code;
    },
  };
}

t.test(
  'a subscription of SQL gets signed webhooks, and status tells what became of them',
  async (t) => {
    const { receiver, client, ends, status } = await start(t, {
      POSTHORN_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    });
    await client.query('begin');
    const { rows } = await client.query<{ id: number; secret: string }>(
      `with made as materialized (select posthorn.generate_secret() as secret)
     select posthorn.subscribe($1, event_types => '{order.*}', secret => secret) as id, secret from made`,
      [`${receiver.url}/hook?token=x`],
    );
    const sent = await client.query(`select posthorn.send('order.created', '{"id": 7}') as id`);
    await client.query('commit');
    const [{ id, secret } = { id: 0, secret: '' }] = rows;
    const [request] = await receiver.waitFor(1);
    t.match(
      new Webhook(secret).verify(String(request?.body), request?.headers as Record<string, string>),
      {
        data: { id: 7 },
      },
    );
    await ends(sent.rows[0].id, 'succeeded');
    const [row, ...others] = await status(sent.rows[0].id);
    t.strictSame(others, []);
    t.match(row, {
      subscription_id: id,
      subscription_url: `${receiver.url}/hook?redacted`,
      state: 'succeeded',
      reason: null,
      attempts: 1,
      next_attempt_at: null,
      ended_at: Date,
      last_attempt_at: Date,
      last_status: 'success',
      last_response_code: 200,
      last_error: null,
    });
    t.strictSame(await status('01990000-0000-7000-8000-000000000000'), []);
  },
);

t.test('a pause in SQL holds deliveries from its commit on, and resume sends them', async (t) => {
  const { receiver, posthorn, client, value, send, ends } = await start(t);
  const id = await value('select posthorn.subscribe($1)', [receiver.url]);
  await client.query('begin');
  await client.query('select posthorn.pause($1, $2)', [id, 'maintenance']);
  await client.query('rollback');
  await ends(await send(), 'succeeded');
  await client.query('select posthorn.pause($1, $2)', [id, 'maintenance']);
  // Without a reason it keeps its own.
  await client.query('select posthorn.pause($1)', [id]);
  const { json } = await posthorn.request('GET', `/v1/subscriptions/${id}`);
  t.match(json, { status: 'paused', status_reason: 'maintenance' });
  const held = await send();
  await ends(held, 'held');
  await client.query('begin');
  await client.query('select posthorn.resume($1)', [id]);
  t.equal(receiver.received.length, 1);
  await client.query('commit');
  await ends(held, 'succeeded');
  t.equal(receiver.received.length, 2);
});

t.test('a retry in SQL sends one delivery again, or all that have not succeeded', async (t) => {
  const { receiver, client, value, send, ends, status, answers } = await start(t);
  const other = await startReceiver(t);
  const [failing, well] = [
    await value('select posthorn.subscribe($1)', [receiver.url]),
    await value('select posthorn.subscribe($1)', [other.url]),
  ];
  answers(500);
  const webhook = await send();
  await until('one has failed, and one has succeeded', async () => {
    const rows = await status(webhook);
    return rows.map(({ state }) => state).join() === 'failed,succeeded';
  });
  const failed = receiver.received.length;
  answers(200);
  await client.query('begin');
  t.equal(await value('select posthorn.retry($1)', [webhook]), 1);
  await client.query('rollback');
  t.match(await status(webhook), [{ state: 'failed' }, { state: 'succeeded' }]);
  t.equal(await value('select posthorn.retry($1)', [webhook]), 1);
  await ends(webhook, 'succeeded');
  t.equal(receiver.received.length, failed + 1);
  t.equal(await value('select posthorn.retry($1)', [webhook]), 0, 'all have succeeded');
  t.equal(
    await value('select posthorn.retry($1, $2)', [webhook, well]),
    1,
    'by its name it is sent again',
  );
  await other.waitFor(2);
  await ends(webhook, 'succeeded');
  t.match(await status(webhook), [
    { subscription_id: failing, attempts: 3 },
    { subscription_id: well, attempts: 2 },
  ]);
});

t.test('a cancellation in SQL ends deliveries that have not ended', async (t) => {
  const { receiver, client, value, send, ends } = await start(t);
  const id = await value('select posthorn.subscribe($1)', [receiver.url]);
  await client.query('select posthorn.pause($1)', [id]);
  const [first, second] = [await send(), await send()];
  await client.query('begin');
  t.equal(await value('select posthorn.cancel($1)', [first]), 1);
  await client.query('rollback');
  t.equal(await value('select posthorn.cancel($1, $2)', [first, id]), 1);
  t.equal(await value('select posthorn.cancel($1)', [first]), 0, 'it has ended');
  await ends(first, 'cancelled');
  await client.query('select posthorn.resume($1)', [id]);
  await ends(second, 'succeeded');
  t.equal(receiver.received.length, 1);
});

t.test('a replay in SQL starts a task when its transaction commits', async (t) => {
  const { receiver, posthorn, client, value, send, ends, answers } = await start(t);
  const id = await value('select posthorn.subscribe($1)', [receiver.url]);
  answers(500);
  const webhook = await send();
  await ends(webhook, 'failed');
  answers(200);
  const replay = `select posthorn.replay($1, since => now() - interval '1 hour', event_types => '{order.*}')`;
  await client.query('begin');
  const forgotten = await value(replay, [id]);
  await client.query('rollback');
  t.equal((await posthorn.request('GET', `/v1/tasks/${forgotten}`)).status, 404);
  const task = await value(replay, [id]);
  const done = await until('the task has ended', async () => {
    const { json } = await posthorn.request('GET', `/v1/tasks/${task}`);
    return json.state === 'succeeded' && json;
  });
  t.match(done, {
    kind: 'replay',
    subscription_id: id,
    states: ['cancelled', 'failed'],
    rate: 100,
    changed: 1,
  });
  await ends(webhook, 'succeeded');
  await t.rejects(
    (async () => {
      await client.query('begin');
      try {
        for (let n = 0; n <= 20; n++) await client.query(replay, [id]);
      } finally {
        await client.query('rollback');
      }
    })(),
    { code: '53400', hint: /task/ },
  );
});

t.test('a subscription gets the latest webhooks, also those that it did not have', async (t) => {
  const { receiver, owner, client, value, send, ends } = await start(t);
  const old = await value('select posthorn.subscribe($1)', [receiver.url]);
  const webhooks = [await send(), await send(), await send()];
  for (const webhook of webhooks) await ends(webhook, 'succeeded');
  const id = await value(`select posthorn.subscribe($1, event_types => '{order.*}')`, [
    receiver.url,
  ]);
  const statesOf = async (subscription: number) => {
    const { rows } = await owner.query(
      `select webhook_id, state, attempt_count from posthorn.deliveries
       where subscription_id = $1 order by webhook_id`,
      [subscription],
    );
    return rows.map(({ webhook_id, state, attempt_count }) => [webhook_id, state, attempt_count]);
  };
  await client.query('begin');
  t.equal(await value('select posthorn.replay_latest($1, 2)', [id]), 2);
  await client.query('rollback');
  t.strictSame(await statesOf(id), []);
  const none = `select posthorn.replay_latest($1, event_types => '{invoice.*}')`;
  t.equal(await value(none, [id]), 0);
  t.equal(await value('select posthorn.replay_latest($1, 2)', [id]), 2);
  await until('both are delivered', async () =>
    (await statesOf(id)).every(([, state]) => state === 'succeeded'),
  );
  t.strictSame(
    await statesOf(id),
    webhooks.slice(1).map((webhook) => [webhook, 'succeeded', 1]),
  );
  t.equal(await value('select posthorn.replay_latest($1)', [old]), 3, 'also what it had already');
  await until('they are sent once more', async () =>
    (await statesOf(old)).every(([, state, attempts]) => state === 'succeeded' && attempts === 2),
  );
  const filtered = await value(
    `select posthorn.subscribe($1, event_types => '{order.*}', filter => '$.no_such_field == 1')`,
    [receiver.url],
  );
  t.equal(await value('select posthorn.replay_latest($1)', [filtered]), 0, 'its filter holds');
});

/** Errors of the functions that manage, each with its SQLSTATE. */
function refusals(ids: { webhook: string; subscription: number }) {
  const { webhook, subscription } = ids;
  return [
    ['23503', `select posthorn.pause(${subscription})`],
    ['23503', `select posthorn.resume(${subscription})`],
    ['23503', `select posthorn.replay(${subscription}, '2026-01-01')`],
    ['23503', `select posthorn.replay_latest(${subscription})`],
    ['23503', `select posthorn.retry('${webhook}')`],
    ['23503', `select posthorn.retry('${webhook}', ${subscription})`],
    ['23503', `select posthorn.cancel('${webhook}')`],
    ['23503', `select posthorn.cancel('${webhook}', ${subscription})`],
  ].map(([code = '', statement = '']) => ({ code, statement }));
}

t.test(
  'to a manager of other tenants a subscription or webhook is as if it did not exist',
  async (t) => {
    const client = await connect(t, await createTestDatabase(t));
    const { acme, zeta } = await addTenants(client, ['acme', 'zeta']);
    const role = await createRole(t, client);
    await client.query(`select posthorn.allow_manager($1, '{acme}')`, [role]);
    await client.query(`set role ${role}`);
    const unknown = {
      webhook: '01990000-0000-7000-8000-000000000000',
      subscription: 2_000_000_000,
    };
    const told = async (ids: { webhook: string; subscription: number }) => {
      const errors: unknown[] = [];
      for (const { code, statement } of refusals(ids)) {
        const error = await client.query(statement).catch((error: pg.DatabaseError) => error);
        t.match(error, { code, hint: /./ }, statement);
        errors.push(
          `${(error as Error).message} ${(error as pg.DatabaseError).hint}`
            .replaceAll(ids.webhook, '…')
            .replaceAll(String(ids.subscription), '…'),
        );
      }
      return errors;
    };
    t.strictSame(await told(zeta), await told(unknown));
    for (const { statement } of refusals(acme)) await client.query(statement);
    t.equal((await client.query('select * from posthorn.status($1)', [zeta.webhook])).rowCount, 0);
    t.equal((await client.query('select * from posthorn.status($1)', [acme.webhook])).rowCount, 1);
  },
);

t.test('what cannot be done in SQL is refused, with what would be right', async (t) => {
  const client = await connect(t, await createTestDatabase(t));
  const { acme } = await addTenants(client, ['acme']);
  const { webhook, subscription } = acme;
  for (const args of [
    `null`,
    `now() + interval '1 hour'`,
    `'-infinity'`,
    `'2026-01-01', 'infinity'`,
    `'2026-01-02', '2026-01-01'`,
    `'2026-01-01', states => '{pending}'`,
    `'2026-01-01', states => '{}'`,
    `'2026-01-01', states => null`,
    `'2026-01-01', states => '{failed,null}'`,
    `'2026-01-01', event_types => '{}'`,
    `'2026-01-01', event_types => '{a b}'`,
    `'2026-01-01', rate => 0`,
    `'2026-01-01', rate => null`,
    `'2026-01-01', rate => 10001`,
  ])
    await t.rejects(
      client.query(`select posthorn.replay(${subscription}, ${args})`),
      { code: '22023', hint: /replay/ },
      args,
    );
  for (const args of ['0', '101', 'null', `1, '{}'`, `1, '{a b}'`])
    await t.rejects(
      client.query(`select posthorn.replay_latest(${subscription}, ${args})`),
      { code: '22023', hint: /replay_latest/ },
      args,
    );
  await t.rejects(client.query('select posthorn.pause($1, $2)', [subscription, 'x'.repeat(1001)]), {
    code: '22023',
  });

  await client.query('update posthorn.subscriptions set status = $1', ['disabled']);
  for (const what of ['pause', 'resume'])
    await t.rejects(client.query(`select posthorn.${what}($1)`, [subscription]), {
      code: '55000',
      hint: /enable/,
    });

  await client.query('update posthorn.deliveries set attempt_count = 30000');
  await t.rejects(client.query('select posthorn.retry($1, $2)', [webhook, subscription]), {
    code: '55000',
  });
  t.equal((await client.query('select posthorn.retry($1) as n', [webhook])).rows[0].n, 0);
  await client.query('update posthorn.deliveries set attempt_count = 1');
  await client.query('update posthorn.webhook_payloads set body = null');
  for (const args of [`'${webhook}'`, `'${webhook}', ${subscription}`])
    await t.rejects(client.query(`select posthorn.retry(${args})`), {
      code: '55000',
      message: /body/,
      hint: /new webhook/,
    });
  await client.query(`update posthorn.webhook_payloads set body = '{}'`);
  await client.query('update posthorn.subscriptions set deleted_at = now(), secret = null');
  await t.rejects(client.query(`select posthorn.retry('${webhook}', ${subscription})`), {
    code: '55000',
    message: /deleted/,
  });
  await t.rejects(client.query(`select posthorn.retry('${webhook}')`), { code: '23503' });
});

t.test(
  'a retry in a transaction from before a body was erased fails instead of sending nothing',
  async (t) => {
    const databaseUrl = await createTestDatabase(t);
    const [client, other] = [await connect(t, databaseUrl), await connect(t, databaseUrl)];
    const { acme } = await addTenants(client, ['acme']);
    await client.query('begin isolation level repeatable read');
    await client.query('select 1 from posthorn.tenants');
    await other.query('update posthorn.webhook_payloads set body = null');
    await t.rejects(client.query('select posthorn.retry($1)', [acme.webhook]), { code: '40001' });
    await client.query('rollback');
  },
);
