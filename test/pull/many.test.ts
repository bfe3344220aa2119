// Many receivers that wait at once.
import t from 'tap';
import { connect } from '../helpers/database.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

/** More than the 500 requests of a tenant that may wait for a turn. */
const MANY = 600;
const AT_ONCE = 100;

t.test('receivers that wait go on waiting when the session with Postgres is lost', async (t) => {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  const { rows } = await client.query<{ id: number }>(
    `insert into posthorn.subscriptions (url, event_types) select null, '{}' from generate_series(1, $1) returning id`,
    [MANY],
  );
  const ending = new AbortController();
  t.teardown(() => ending.abort());
  const answers: { status: number; id: number; text: string }[] = [];
  const pull = async (id: number) => {
    const response = await fetch(`${posthorn.url}/v1/subscriptions/${id}/pull?wait=1m`, {
      signal: ending.signal,
    });
    answers.push({ status: response.status, id, text: await response.text() });
  };
  const waiting = async () => {
    const { text } = await posthorn.request('GET', '/metrics');
    return Number(/^posthorn_pulls_open (\d+)$/m.exec(text)?.[1]);
  };
  for (let from = 0; from < MANY; from += AT_ONCE) {
    for (const { id } of rows.slice(from, from + AT_ONCE)) void pull(id).catch(() => {});
    await until('they wait', async () => (await waiting()) === from + AT_ONCE);
  }

  // Each looks again at once, since a notification may have been lost.
  const { rowCount } = await client.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name like 'posthorn % session'`,
  );
  t.ok((rowCount ?? 0) > 0);
  const [{ id } = { id: 0 }] = rows.slice(-1);
  const webhookId = await posthorn.ingest(id);
  await until('the one with a webhook is answered', () => answers.length > 0);
  t.match(answers, [{ status: 200, id, text: webhookId }]);
  t.equal(answers.length, 1, 'none is refused');
  t.equal(await waiting(), MANY - 1, 'the others wait');
});
