// A service that is killed while receivers pull loses nothing: leases outlive it, and those that nobody acknowledges end.
import t from 'tap';
import { startCli } from '../helpers/cli.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { subscribeAs } from '../helpers/health.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const WEBHOOKS = 40;
const PULLERS = 3;
/** Webhooks that are delivered before the service is killed. */
const BEFORE = 8;

interface Pulled {
  readonly token: string;
  readonly webhook_id: string;
  readonly attempt_number: number;
}

t.test('after kill -9, what was leased is delivered, and nothing is lost', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const first = await startCli(t, ['start'], {
    DATABASE_URL: databaseUrl,
    POSTHORN_RETRY_SCHEDULE: '100ms,100ms,100ms,100ms',
  });
  let url = await first.url();
  const ask = async (method: string, path: string, body?: object) => {
    const response = await fetch(`${url}/v1/subscriptions/${path}`, {
      method,
      ...(body && {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    });
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    return (await response.json()) as { deliveries: Pulled[]; recorded: number };
  };
  const second = await startTestService(t, {
    DATABASE_URL: databaseUrl,
    // Its worker would deliver, and end leases, while the first one lives.
    POSTHORN_ROLE: 'api',
  });
  const id = await subscribeAs(second, { url: null, event_types: [] });
  const kept = await subscribeAs(second, { url: null, event_types: [] });
  const sent: string[] = [];
  for (let n = 0; n < WEBHOOKS; n++) sent.push(await second.ingest(id, { n }));
  await second.ingest(kept);
  const { deliveries: held } = await ask('GET', `${kept}/pull?lease=1h`);
  t.equal(held.length, 1);

  const delivered = new Set<string>();
  /** Acknowledged without an answer: it may have been lost with the service, after the result was recorded. */
  const unanswered = new Set<string>();
  const isDone = () => sent.every((webhook) => delivered.has(webhook) || unanswered.has(webhook));
  const allSucceeded = async () => {
    const { rows } = await client.query(
      `select from posthorn.deliveries where subscription_id = $1 and state <> 'succeeded' limit 1`,
      [id],
    );
    return rows.length === 0;
  };
  /** Attempts after the first: their leases ended with the service. */
  let again = 0;
  let isKilled = false;
  async function pull(): Promise<void> {
    while (!(isDone() && (await allSucceeded()))) {
      try {
        const { deliveries } = await ask('GET', `${id}/pull?batch=3&wait=500ms&lease=2s`);
        for (const { token, webhook_id, attempt_number } of deliveries) {
          const results = [{ token, result: 'delivered' }];
          unanswered.add(webhook_id);
          const { recorded } = await ask('POST', `${id}/acknowledge`, { results });
          unanswered.delete(webhook_id);
          if (recorded === 0) continue;
          delivered.add(webhook_id);
          if (attempt_number > 1) again += 1;
        }
      } catch (error) {
        if (!isKilled) throw error;
        // The puller forgets the deliveries that it had pulled, as if it was killed too.
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }
  const pulling = Promise.all(Array.from({ length: PULLERS }, pull));
  await until('some are delivered', () => delivered.size >= BEFORE);
  // These are pulled and not acknowledged at the moment of the kill.
  const { deliveries: leased } = await ask('GET', `${id}/pull?batch=5&lease=2s&wait=0s`);
  isKilled = true;
  first.kill('SIGKILL');
  await first.exited;
  const { service } = await startTestService(t, {
    DATABASE_URL: databaseUrl,
    POSTHORN_RETRY_SCHEDULE: '100ms,100ms,100ms,100ms',
  });
  url = service.url;

  const [{ token } = { token: '' }] = held;
  t.match(
    await ask('POST', `${kept}/acknowledge`, { results: [{ token, result: 'delivered' }] }),
    { recorded: 1, ended: [] },
    'a lease that lasts is acknowledged to another process',
  );
  await pulling;
  t.ok(unanswered.size <= PULLERS, `${unanswered.size} acknowledgements had no answer`);
  t.strictSame([...delivered, ...unanswered].sort(), sent.toSorted(), 'every webhook');
  t.ok(again >= leased.length, `${again} leases ended, and their deliveries came again`);
  const { rows } = await client.query(
    `select count(*)::integer as deliveries,
       count(*) filter (where d.state = 'succeeded' and d.attempt_count = a.attempts and a.successes = 1)::integer as whole,
       (select count(*)::integer from posthorn.leases) as leases
     from posthorn.deliveries d
     cross join lateral (
       select count(*) as attempts, count(*) filter (where status = 'success') as successes
       from posthorn.delivery_attempts a
       where a.webhook_id = d.webhook_id and a.subscription_id = d.subscription_id
     ) a`,
  );
  const all = WEBHOOKS + 1;
  t.strictSame(rows[0], { deliveries: all, whole: all, leases: 0 }, 'no attempt is missing');
});
