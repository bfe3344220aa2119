import t from 'tap';
import { startCli } from '../helpers/cli.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { deliveriesOf, healthOf, ingestUntilOpen, subscribeAs } from '../helpers/health.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const SETTINGS = {
  POSTHORN_CIRCUIT: 'failures=3,over=0s,probe=200ms,max=1s',
  POSTHORN_RETRY_SCHEDULE: '1h,1h',
};

/** A receiver that answers 503 until it is told to work. */
async function startBroken(t: Parameters<typeof startReceiver>[0]) {
  const state = { works: false };
  let open = 0;
  let most = 0;
  const receiver = await startReceiver(t, (response) => {
    open += 1;
    most = Math.max(most, open);
    setTimeout(() => {
      open -= 1;
      response.statusCode = state.works ? 200 : 503;
      response.end();
    }, 20);
  });
  return {
    receiver,
    repair: () => {
      state.works = true;
    },
    /** How many requests were open at once since this was last asked. */
    mostAtOnce: () => {
      const was = most;
      most = open;
      return was;
    },
  };
}

t.test('an open circuit sends one probe at a time, at growing intervals', async (t) => {
  const posthorn = await startTestService(t, SETTINGS);
  const { receiver, repair, mostAtOnce } = await startBroken(t);
  const id = await posthorn.subscribe(receiver.url);
  await ingestUntilOpen(posthorn, id);
  await until('what was under way has ended', async () => {
    return (await healthOf(posthorn, id)).recent.attempts === receiver.received.length;
  });
  mostAtOnce();
  const before = receiver.received.length;
  const held: string[] = [];
  for (let n = 0; n < 40; n++) held.push(await posthorn.ingest(id, { n }));
  await receiver.waitFor(before + 5);
  t.equal(mostAtOnce(), 1);
  const probes = receiver.received.slice(before, before + 5);
  const ids = probes.map(({ headers }) => headers['webhook-id']);
  t.strictSame(ids, [...new Set(ids)].sort(), 'the oldest first, and then the next in turn');
  const gaps = probes.slice(1).map(({ at }, nth) => at - (probes[nth] as { at: number }).at);
  // 200 ms, 400 ms, 800 ms, 1 s, each give or take a fifth. A busy machine makes them longer.
  const least = [160, 320, 640, 800];
  t.ok(
    gaps.every((gap, nth) => gap >= (least[nth] as number)),
    `${gaps}`,
  );

  const waiting = await deliveriesOf(posthorn, id, 'held');
  t.ok(waiting.length >= 40, 'all that came is held');
  const probed = new Set(
    receiver.received.slice(before).map(({ headers }) => headers['webhook-id']),
  );
  // On a slow machine one of those before was held and a probe, when the circuit was already open.
  const late = waiting.filter((one) => held.includes(one.webhook_id));
  t.ok(late.every((one) => probed.has(one.webhook_id) || one.attempts_made === 0));
  const health = await healthOf(posthorn, id);
  t.match(health, { held: waiting.length, held_more: false, status: 'active' });
  t.match(health.circuit, { state: /^(half_)?open$/, opened_at: String, next_probe_at: String });

  repair();
  await until('all that was held is delivered', async () => {
    const done = new Set((await deliveriesOf(posthorn, id, 'succeeded')).map((d) => d.webhook_id));
    return held.every((webhookId) => done.has(webhookId));
  });
  await until('it is closed, and nothing is known against it', async () => {
    const { circuit, failing_since, failures } = await healthOf(posthorn, id);
    return circuit.state === 'closed' && failing_since === null && failures === 0;
  });
});

t.test('probes use up no attempts, and the probed delivery succeeds in the end', async (t) => {
  const posthorn = await startTestService(t, {
    ...SETTINGS,
    POSTHORN_CIRCUIT: 'failures=3,over=0s,probe=100ms,max=100ms',
    POSTHORN_RETRY_SCHEDULE: '20ms,20ms',
  });
  const { receiver, repair } = await startBroken(t);
  const id = await posthorn.subscribe(receiver.url);
  await ingestUntilOpen(posthorn, id);
  const webhookId = await posthorn.ingest(id);
  const read = async () => {
    const { json } = await posthorn.request('GET', `/v1/webhooks/${webhookId}`);
    return json.deliveries[0];
  };
  await until('it was probed more often than its schedule has attempts', async () => {
    return (await read()).attempts_made >= 6;
  });
  t.match(await read(), { state: 'held', ended_at: null });
  repair();
  const done = await until('it has succeeded', async () => {
    const delivery = await read();
    return delivery.state === 'succeeded' && delivery;
  });
  t.equal(done.attempts.length, done.attempts_made, 'and each probe is in its log');
  t.strictSame(
    done.attempts.map((one: { attempt_number: number }) => one.attempt_number),
    done.attempts.map((_: unknown, nth: number) => nth + 1),
  );
});

t.test('webhooks that arrive while a circuit is open can be probes too', async (t) => {
  const posthorn = await startTestService(t, {
    ...SETTINGS,
    POSTHORN_CIRCUIT: 'failures=3,over=0s,probe=100ms,max=100ms',
  });
  const { receiver } = await startBroken(t);
  const id = await posthorn.subscribe(receiver.url);
  await ingestUntilOpen(posthorn, id);
  const first = await posthorn.ingest(id);
  const probesOf = (webhookId: string) =>
    receiver.received.filter(({ headers }) => headers['webhook-id'] === webhookId).length;
  // The backlog has been read by then, and has something for every probe.
  await until('the first was probed twice', () => probesOf(first) >= 2);
  const later = await posthorn.ingest(id);
  await until('the later one was probed', () => probesOf(later) >= 1);
});

t.test('if nothing is held, the next webhook is the probe, without delay', async (t) => {
  const posthorn = await startTestService(t, {
    ...SETTINGS,
    POSTHORN_CIRCUIT: 'failures=3,over=0s,probe=100ms,max=100ms',
  });
  const { receiver, repair } = await startBroken(t);
  const id = await posthorn.subscribe(receiver.url);
  const first = await ingestUntilOpen(posthorn, id);
  // What was under way when it opened is tried again in an hour; what is held would be probed.
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(`
    update posthorn.deliveries set state = 'cancelled', ended_at = now(), next_attempt_at = null
    where state = 'held'`);
  await until('a probe is due, and there is none', async () => {
    const { circuit, held } = await healthOf(posthorn, id);
    return circuit.state === 'half_open' && held === 0;
  });
  repair();
  const startedAt = Date.now();
  const webhookId = await posthorn.ingest(id, { n: first.length });
  await until('it is delivered', async () => {
    const done = await deliveriesOf(posthorn, id, 'succeeded');
    return done.some((one) => one.webhook_id === webhookId);
  });
  t.ok(Date.now() - startedAt < 10_000, `${Date.now() - startedAt} ms`);
});

t.test('Retry-After opens the circuit until the time that it names', async (t) => {
  t.jobs = 2;
  for (const status of [429, 503]) {
    await t.test(`by a ${status}`, async (t) => {
      const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '10ms,10ms' });
      let askedAt = 0;
      const receiver = await startReceiver(t, (response, { at }, nth) => {
        if (nth === 1) {
          askedAt = at;
          response.writeHead(status, { 'retry-after': '3' });
        }
        response.end();
      });
      const id = await posthorn.subscribe(receiver.url);
      await posthorn.ingest(id);
      await until('it is left alone', async () => {
        return (await healthOf(posthorn, id)).circuit.state === 'open';
      });
      const webhooks: string[] = [];
      for (let n = 0; n < 10; n++) webhooks.push(await posthorn.ingest(id, { n }));
      const [, second] = await receiver.waitFor(11);
      const after = (second?.at ?? 0) - askedAt;
      t.ok(after >= 2_900 && after < 60_000, `${after} ms`);
      await until('all is delivered', async () => {
        const done = await deliveriesOf(posthorn, id, 'succeeded');
        return done.length === 11 && done;
      });
      for (const { webhook_id, attempts_made } of await deliveriesOf(posthorn, id))
        if (webhooks.includes(webhook_id)) t.equal(attempts_made, 1, 'nothing was used up');
    });
  }
});

t.test('held deliveries expire when all their retries would have ended', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const settings = {
    DATABASE_URL: databaseUrl,
    POSTHORN_CIRCUIT: 'failures=3,over=0s,probe=1h,max=1h',
    POSTHORN_RETRY_SCHEDULE: '1h,2h',
  };
  const first = await startTestService(t, settings);
  const { receiver } = await startBroken(t);
  const [down, patient, paused] = [
    await subscribeAs(first, { url: receiver.url }),
    await subscribeAs(first, { url: receiver.url, retry_schedule: '12h' }),
    await subscribeAs(first, { url: receiver.url }),
  ] as const;
  for (const id of [down, patient, paused]) await ingestUntilOpen(first, id);
  await first.service.stop();
  const client = await connect(t, databaseUrl);
  const api = await startTestService(t, { ...settings, POSTHORN_ROLE: 'api' });
  // Three webhooks that came four hours ago, when the circuits opened; their retries take three.
  await client.query(`
    update posthorn.circuits
    set opened_at = now() - interval '4 hours', probe_at = now() + interval '1 hour';
    update posthorn.subscriptions set status = 'paused' where id = ${paused};
    select posthorn.ensure_partitions((now() - interval '1 day')::date, now()::date);
    with old as (
      insert into posthorn.webhook_payloads (id, content_type, body)
      select posthorn.uuidv7_floor(now() - interval '4 hours' + n * interval '1 second'), 'application/json', '{}'
      from generate_series(1, 3) as n
      returning id)
    insert into posthorn.deliveries (webhook_id, subscription_id, state, next_attempt_at)
    select old.id, s.id, 'held', now() - interval '3 hours 30 minutes'
    from old, posthorn.subscriptions s;
  `);
  const fresh = await api.ingest(down);
  const worker = await startTestService(t, { ...settings, POSTHORN_ROLE: 'worker' });
  const expired = await until('three have expired', async () => {
    const failed = await deliveriesOf(api, down, 'failed');
    return failed.length === 3 && failed;
  });
  for (const one of expired)
    t.match(one, { reason: 'expired', ended_at: String, next_attempt_at: null, attempts_made: 0 });
  const held = await deliveriesOf(api, down, 'held');
  t.ok(
    held.some(({ webhook_id }) => webhook_id === fresh),
    'what has come since is held',
  );
  for (const id of [patient, paused]) t.strictSame(await deliveriesOf(api, id, 'failed'), []);
  await until('they are counted', async () => {
    const { text } = await worker.request('GET', '/metrics');
    return /^posthorn_deliveries_expired_total 3$/m.test(text);
  });
});

t.test('two processes share a circuit, and send one probe at a time', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const settings = {
    DATABASE_URL: databaseUrl,
    ...SETTINGS,
    POSTHORN_CIRCUIT: 'failures=3,over=0s,probe=200ms,max=200ms',
  };
  const one = await startTestService(t, settings);
  const two = await startTestService(t, settings);
  const { receiver, repair, mostAtOnce } = await startBroken(t);
  const id = await one.subscribe(receiver.url);
  await ingestUntilOpen(one, id);
  await until('what was under way has ended', async () => {
    return (await healthOf(two, id)).recent.attempts === receiver.received.length;
  });
  mostAtOnce();
  const before = receiver.received.length;
  const held: string[] = [];
  for (let n = 0; n < 20; n++) held.push(await (n % 2 === 0 ? one : two).ingest(id, { n }));
  await receiver.waitFor(before + 5);
  t.equal(mostAtOnce(), 1);
  repair();
  await until('all is delivered, whoever closed it', async () => {
    const done = new Set((await deliveriesOf(two, id, 'succeeded')).map((d) => d.webhook_id));
    return held.every((webhookId) => done.has(webhookId));
  });
  for (const posthorn of [one, two])
    await until('it is closed, and nothing is known against it', async () => {
      const { circuit, failing_since } = await healthOf(posthorn, id);
      return circuit.state === 'closed' && failing_since === null;
    });
});

t.test('an open circuit outlives its process, and another process sends probes', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const { receiver, repair } = await startBroken(t);
  const settings = { DATABASE_URL: databaseUrl, ...SETTINGS };
  const doomed = await startCli(t, ['start'], settings);
  await doomed.url();
  const api = await startTestService(t, { ...settings, POSTHORN_ROLE: 'api' });
  const id = await api.subscribe(receiver.url);
  await ingestUntilOpen(api, id);
  const held: string[] = [];
  for (let n = 0; n < 10; n++) held.push(await api.ingest(id, { n }));
  await receiver.waitFor(receiver.received.length + 2);
  doomed.kill('SIGKILL');
  await doomed.exited;
  const before = receiver.received.length;
  await startTestService(t, { ...settings, POSTHORN_ROLE: 'worker' });
  await receiver.waitFor(before + 2);
  t.not((await healthOf(api, id)).circuit.state, 'closed');
  repair();
  await until('all is delivered', async () => {
    const done = new Set((await deliveriesOf(api, id, 'succeeded')).map((d) => d.webhook_id));
    return held.every((webhookId) => done.has(webhookId));
  });
});
