import t from 'tap';
import { startCli } from '../helpers/cli.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { until } from '../helpers/until.ts';

/** The processes that have said that they are up, by their ids. */
function upProcesses(log: string): number[] {
  return [...log.matchAll(/"process":(\d+),"(?:url|role)".*"msg":"posthorn is up"/g)].map(
    ([, pid]) => Number(pid),
  );
}

async function post(url: string, body: unknown): Promise<Record<string, unknown>> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', connection: 'close' },
    body: JSON.stringify(body),
  });
  return (await response.json()) as Record<string, unknown>;
}

t.test('several processes share the work, and one that dies is replaced', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const receiver = await startReceiver(t);
  const cli = await startCli(t, ['start'], { DATABASE_URL: databaseUrl, POSTHORN_PROCESSES: '2' });
  const url = await cli.url();
  await until('both are up', () => upProcesses(cli.output.stderr).length === 2);
  const { id } = await post(`${url}/subscriptions/createsubscription`, { url: receiver.url });
  for (let n = 0; n < 20; n++) await post(`${url}/ingest/${id}`, { n });
  await receiver.waitFor(20);
  const metrics = await until('the figures are those of both', async () => {
    const text = await (await fetch(`${url}/metrics`)).text();
    return /posthorn_attempts_total\{status="success"\} 20\n/.test(text) && text;
  });
  t.match(metrics, /posthorn_webhooks_accepted_total 20\n/);

  const [one, other] = upProcesses(cli.output.stderr) as [number, number];
  for (const [victim, up] of [
    [one, 3],
    [other, 4],
  ] as const) {
    process.kill(victim, 'SIGKILL');
    await until('another one is up', () => upProcesses(cli.output.stderr).length === up);
    for (let n = 0; n < 10; n++) await post(`${url}/ingest/${id}`, { n });
  }
  t.match(cli.output.stderr, /a process died; a new process is started/);
  await receiver.waitFor(40);

  cli.kill('SIGTERM');
  t.equal(await cli.exited, 0);
  const alive = upProcesses(cli.output.stderr).filter((pid) => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  });
  t.strictSame(alive, [], 'no process is left behind');
  const client = await connect(t, databaseUrl);
  // The rows of those that were killed stay for some seconds (maintenance/worker-lease.ts).
  const { rows } = await client.query(
    'select count(*)::integer as left from posthorn.workers where not pid = any($1)',
    [[one, other]],
  );
  t.equal(rows[0].left, 0);
});

t.test('all processes report background work that fails in one of them', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const receiver = await startReceiver(t);
  const client = await connect(t, databaseUrl);
  const cli = await startCli(t, ['start'], { DATABASE_URL: databaseUrl, POSTHORN_PROCESSES: '2' });
  const url = await cli.url();
  await until('both are up', () => upProcesses(cli.output.stderr).length === 2);
  const { id } = await post(`${url}/v1/subscriptions`, { url: receiver.url, max_in_flight: 1 });
  const { rows } = await client.query<{ works: string }>(
    `select pg_get_functiondef('posthorn.uuidv7_floor'::regproc) as works`,
  );
  // A statement that is prepared already would find it under another name.
  await client.query(`
    create or replace function posthorn.uuidv7_floor(at timestamptz) returns uuid
      language plpgsql immutable strict parallel safe
    as 'begin raise exception ''broken''; end'`);
  await post(`${url}/ingest/${id}`, {});
  const ready = async () => {
    const response = await fetch(`${url}/readyz`, { headers: { connection: 'close' } });
    return { status: response.status, text: await response.text() };
  };
  await until('the process that serves the API tells of the one that delivers', async () => {
    const { status, text } = await ready();
    return status === 503 && /send_backlogs/.test(text);
  });
  const metrics = await (await fetch(`${url}/metrics`)).text();
  t.match(metrics, /posthorn_loop_failing\{loop="send_backlogs"\} 1\n/);
  t.equal(receiver.received.length, 0);
  await client.query(rows[0]?.works as string);
  await receiver.waitFor(1);
  await until('all is well again', async () => (await ready()).status === 200);
  cli.kill('SIGTERM');
  t.equal(await cli.exited, 0);
});

t.test('two of four processes serve the API', async (t) => {
  const cli = await startCli(t, ['start'], {
    DATABASE_URL: await createTestDatabase(t),
    POSTHORN_PROCESSES: '4',
  });
  await until('all are up', () => upProcesses(cli.output.stderr).length === 4);
  const roles = [...cli.output.stderr.matchAll(/"role":"(\w+)".*"msg":"posthorn is up"/g)];
  t.strictSame(roles.map(([, role]) => role).sort(), ['api', 'api', 'worker', 'worker']);
  t.notMatch(cli.output.stderr, /a process died/);
  cli.kill('SIGTERM');
  t.equal(await cli.exited, 0);
});

t.test('an error that prevents the start of several processes is one line too', async (t) => {
  const cli = await startCli(t, ['start'], {
    DATABASE_URL: await createTestDatabase(t),
    POSTHORN_PROCESSES: '2',
    HOST: '192.0.2.1',
    POSTHORN_AUTH: 'off',
  });
  t.equal(await cli.exited, 1);
  const lines = cli.output.stderr.split('\n').filter((line) => line.startsWith('posthorn: '));
  t.equal(lines.length, 1, cli.output.stderr);
  t.match(lines[0], /HOST=192\.0\.2\.1 is not an address/);
});
