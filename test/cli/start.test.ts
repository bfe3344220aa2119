import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { startCli } from '../helpers/cli.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { until } from '../helpers/until.ts';

async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'posthorn-cli-'));
  t.teardown(async () => {
    // As root, the data is elsewhere, and .posthorn is a link to it.
    const data = await realpath(join(folder, '.posthorn')).catch(() => folder);
    await rm(data, { recursive: true, force: true });
    await rm(folder, { recursive: true, force: true });
  });
  return folder;
}

async function post(url: string, body: unknown) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  // biome-ignore lint/suspicious/noExplicitAny: the shape is what the tests look at
  return (await response.json()) as any;
}

t.test(
  'without DATABASE_URL it starts its own Postgres, and a second start finds the data',
  async (t) => {
    // A folder that only this user can enter: as root, Postgres runs as another one.
    const cwd = await temporaryFolder(t);
    const receiver = await startReceiver(t);
    const first = await startCli(t, ['start'], {}, cwd);
    const { id } = await post(`${await first.url()}/subscriptions/createsubscription`, {
      url: receiver.url,
    });
    const { webhook_id } = await post(`${await first.url()}/ingest/${id}`, { n: 1 });
    await receiver.waitFor(1);

    const rival = await startCli(t, ['start'], {}, cwd);
    t.equal(await rival.exited, 1);
    t.match(
      rival.output.stderr,
      /^posthorn: The data folder .*\.posthorn is in use by another Posthorn\. .*\n$/m,
    );

    first.kill('SIGTERM');
    t.equal(await first.exited, 0);
    const second = await startCli(t, ['start'], {}, cwd);
    const webhook = await (await fetch(`${await second.url()}/v1/webhooks/${webhook_id}`)).json();
    t.match(webhook, { deliveries: [{ subscription_url: receiver.url }] });

    second.kill('SIGKILL');
    await second.exited;
    const third = await startCli(t, ['start'], {}, cwd);
    t.match(await (await fetch(`${await third.url()}/ping`)).json(), {
      message: 'API is up and running',
    });
    third.kill('SIGINT');
    t.equal(
      await third.exited,
      0,
      'it took over the Postgres that a kill -9 had left, and stopped it',
    );
  },
);

t.test('a failed start gives one line that says what to do, and exit code 1', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.teardown(() => taken.close());
  const port = String((taken.address() as AddressInfo).port);
  const cwd = await temporaryFolder(t);
  const old = join(cwd, 'old', 'postgres');
  await mkdir(old, { recursive: true });
  await writeFile(join(old, 'PG_VERSION'), '14\n');
  const { pathname } = new URL(databaseUrl.replace(/@\//, '@host/'));
  const cases: [what: string, env: Record<string, string>, says: RegExp][] = [
    [
      'a taken port',
      { DATABASE_URL: databaseUrl, PORT: port },
      new RegExp(`Port ${port} on 127.0.0.1 is taken`),
    ],
    [
      'a host that is not here',
      { DATABASE_URL: databaseUrl, HOST: '192.0.2.1', POSTHORN_AUTH: 'off' },
      /HOST=192\.0\.2\.1 is not an address/,
    ],
    [
      'no Postgres there',
      { DATABASE_URL: 'postgres://u:canary@127.0.0.1:1/x' },
      /No Postgres answers at 127\.0\.0\.1:1/,
    ],
    [
      'no such host',
      { DATABASE_URL: 'postgres://u:canary@no-such-host.invalid/x' },
      /no-such-host\.invalid.*cannot be resolved/,
    ],
    [
      'no such database',
      { DATABASE_URL: databaseUrl.replace(pathname, '/no_such') },
      /no database "no_such"/,
    ],
    [
      'another kind of URL',
      { DATABASE_URL: 'mysql://localhost/x' },
      /DATABASE_URL: it must look like postgres:/,
    ],
    [
      'a bad duration',
      { POSTHORN_DELIVERY_TIMEOUT: 'soon' },
      /POSTHORN_DELIVERY_TIMEOUT: "soon" is not a duration/,
    ],
    [
      'a misspelt name',
      { POSTHORN_MAX_BDY: '1MiB' },
      /POSTHORN_MAX_BDY is not a setting; did you mean POSTHORN_MAX_BODY/,
    ],
    ['an open door', { DATABASE_URL: databaseUrl, HOST: '0.0.0.0' }, /POSTHORN_ADMIN_KEY/],
    [
      'data of another Postgres',
      { POSTHORN_DATA_DIR: join(cwd, 'old') },
      /Postgres 14|belongs to root/,
    ],
  ];
  for (const [what, env, says] of cases) {
    const cli = await startCli(t, ['start'], env, cwd);
    t.equal(await cli.exited, 1, what);
    const lines = cli.output.stderr
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('{'));
    t.equal(lines.length, 1, `${what}: one line: ${cli.output.stderr}`);
    t.match(lines[0], says, what);
    t.match(lines[0], /^posthorn: /, what);
    t.notMatch(cli.output.stderr, /canary|\n {4}at /, `${what}: no password, no stack trace`);
  }
});

t.test('several wrong settings are reported together', async (t) => {
  const cli = await startCli(t, ['start'], {
    PORT: '99999',
    POSTHORN_ROLE: 'workr',
    LOG_LEVEL: 'loud',
  });
  t.equal(await cli.exited, 1);
  t.match(
    cli.output.stderr,
    /Bad settings:\n {2}- PORT: .*\n {2}- POSTHORN_ROLE: .*did you mean worker.*\n {2}- LOG_LEVEL: /,
  );
});

t.test(
  'the service sets the limits of malloc for its own process, and not for Postgres',
  { skip: process.platform !== 'linux' },
  async (t) => {
    const environmentOf = async (pid: number) =>
      (await readFile(`/proc/${pid}/environ`, 'utf8'))
        .split('\0')
        .filter((one) => one.startsWith('MALLOC_'));
    const dataDir = join(await temporaryFolder(t), 'data');
    const cli = await startCli(t, ['start'], { POSTHORN_DATA_DIR: dataDir });
    await cli.url();
    const pid = cli.child.pid as number;
    t.match((await environmentOf(pid)).join(' '), /MALLOC_ARENA_MAX=2 /);
    const pidFile = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8');
    t.strictSame(await environmentOf(Number.parseInt(pidFile, 10)), []);
    cli.kill('SIGTERM');
    t.equal(await cli.exited, 0);

    const own = await startCli(t, ['start'], { POSTHORN_DATA_DIR: dataDir, MALLOC_ARENA_MAX: '7' });
    await own.url();
    t.strictSame(await environmentOf(own.child.pid as number), ['MALLOC_ARENA_MAX=7']);
    own.kill('SIGTERM');
    t.equal(await own.exited, 0);
  },
);

t.test('a .env file is read, and the environment takes precedence', async (t) => {
  const cwd = await temporaryFolder(t);
  await writeFile(join(cwd, '.env'), 'POSTHORN_ROLE=nonsense\nPOSTHORN_MAX_BODY=wrong\n');
  const cli = await startCli(t, ['start'], { POSTHORN_MAX_BODY: '2MiB' }, cwd);
  t.equal(await cli.exited, 1);
  t.match(cli.output.stderr, /POSTHORN_ROLE: "nonsense"/);
  t.notMatch(cli.output.stderr, /POSTHORN_MAX_BODY/);
});

/** Starts the service with a delivery under way that does not end by itself. */
async function startBusy(t: Test, env: Record<string, string> = {}) {
  const receiver = await startReceiver(t, () => {});
  const cli = await startCli(t, ['start'], {
    DATABASE_URL: await createTestDatabase(t),
    POSTHORN_DELIVERY_TIMEOUT: '60s',
    POSTHORN_SHUTDOWN_GRACE: '60s',
    ...env,
  });
  const { id } = await post(`${await cli.url()}/subscriptions/createsubscription`, {
    url: receiver.url,
  });
  await post(`${await cli.url()}/ingest/${id}`, {});
  await receiver.waitFor(1);
  return cli;
}

t.test('a first Ctrl-C lets deliveries in flight finish, a second one exits at once', async (t) => {
  const cli = await startBusy(t);
  cli.kill('SIGINT');
  await until('it says that it is stopping', () => cli.output.stderr.includes('"stopping: '));
  // A terminal and npm both pass one Ctrl-C on.
  cli.kill('SIGINT');
  cli.kill('SIGTERM');
  cli.kill('SIGTERM');
  const saidAt = Date.now();
  await until('the next one is another one', () => Date.now() - saidAt > 600);
  t.equal(cli.child.exitCode, null, 'a delivery is still under way');
  t.notMatch(cli.output.stderr, /stopping at once/);
  cli.kill('SIGINT');
  t.equal(await cli.exited, 130);
});

t.test('a start says at once what it does, and a stop while it does ends it', async (t) => {
  // Each stop comes at another step: reading the settings, creating the data folder, migrating, listening.
  for (let afterMs = 0; afterMs <= 2_000; afterMs += 400) {
    const cwd = await temporaryFolder(t);
    const cli = await startCli(t, ['start'], {}, cwd);
    await until('it says what it does', () => cli.output.stderr.includes('"msg":"starting"'));
    t.match(cli.output.stderr, /an embedded Postgres in .*\.posthorn/);
    await sleep(afterMs);
    cli.kill('SIGTERM');
    const end = await cli.exited;
    t.ok(end === 0 || end === 'SIGTERM', `after ${afterMs} ms: ${end} ${cli.output.stderr}`);
    const [, afterStop = ''] = cli.output.stderr.split('"stopping: ');
    t.notMatch(afterStop, /posthorn is up/, 'it does not go on starting');
    const data = await realpath(join(cwd, '.posthorn')).catch(() => cwd);
    const pid = await readFile(join(data, 'postgres', 'postmaster.pid'), 'utf8').catch(() => null);
    t.equal(pid, null, 'no Postgres is left');
  }
});

t.test('a client that keeps its connection delays a stop only by the grace period', async (t) => {
  const cli = await startBusy(t, { POSTHORN_SHUTDOWN_GRACE: '1s' });
  const { port } = new URL(await cli.url());
  const socket = connectSocket(Number(port), '127.0.0.1');
  socket.on('error', () => {});
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  socket.write('POST /ingest/1 HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n');
  cli.kill('SIGTERM');
  const startedAt = Date.now();
  t.equal(await cli.exited, 0);
  t.ok(Date.now() - startedAt < 10_000);
});

t.test(
  'the log has a line a request at debug, and never a secret, a signature or a payload',
  async (t) => {
    const receiver = await startReceiver(t);
    const cli = await startCli(t, ['start'], {
      DATABASE_URL: await createTestDatabase(t),
      LOG_LEVEL: 'trace',
    });
    const base = await cli.url();
    const { id } = await post(`${base}/subscriptions/createsubscription`, {
      url: receiver.url,
      secret: 'canary-secret',
    });
    const payload = '{"card":"canary-payload"}';
    const { signature } = await post(`${base}/ingest/getsignature`, {
      payload,
      secret: 'canary-secret',
    });
    const headers = { 'content-type': 'application/json', 'x-hub-signature-256': signature };
    const response = await fetch(`${base}/ingest/${id}?token=canary-query`, {
      method: 'POST',
      headers,
      body: payload,
    });
    t.equal(response.status, 202);
    await receiver.waitFor(1);
    await until('the attempt is logged', () => cli.output.stderr.includes('"msg":"attempt"'));
    for (const line of cli.output.stderr.trim().split('\n'))
      t.type(JSON.parse(line).level, 'number');
    t.match(cli.output.stderr, /"method":"POST","route":"\/ingest\/:subscription_id","status":202/);
    t.notMatch(cli.output.stderr, /canary/);
    t.notMatch(cli.output.stderr, signature.slice(7));
  },
);
