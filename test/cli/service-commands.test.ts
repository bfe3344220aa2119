import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startCli } from '../helpers/cli.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const ADMIN = 'an admin key of some length';

interface Ended {
  readonly code: number | NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  // biome-ignore lint/suspicious/noExplicitAny: the answer of any command
  readonly json: any;
}

/** Runs a command to its end. */
async function run(t: Test, args: string[], env: Record<string, string>): Promise<Ended> {
  const cli = await startCli(t, args, env);
  const code = await cli.exited;
  const { stdout, stderr } = cli.output;
  let json: unknown;
  try {
    json = JSON.parse(stdout);
  } catch {
    json = undefined;
  }
  return { code, stdout, stderr, json };
}

/** A service with an admin key, and a function that runs commands which call it. */
async function start(t: Test) {
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: ADMIN });
  const env = { POSTHORN_URL: posthorn.url, POSTHORN_KEY: ADMIN };
  return { posthorn, env, posthornCli: (...args: string[]) => run(t, args, env) };
}

t.test('a webhook is followed on a terminal from its subscription to its retry', async (t) => {
  const receiver = await startReceiver(t, (response, _request, nth) => {
    response.statusCode = nth < 3 ? 400 : 200;
    response.end('<answer>\u001b[31m');
  });
  const { posthorn, posthornCli } = await start(t);
  const created = await posthornCli(
    ...[
      'subscriptions',
      'create',
      `${receiver.url}/hook`,
      '--types',
      'order.*',
      '--generate-secret',
    ],
    ...['--set', 'retry_schedule="1ms"', '--json'],
  );
  t.equal(created.code, 0, created.stderr);
  t.match(created.json, {
    id: 1,
    event_types: ['order.*'],
    retry_schedule: '1ms',
    secret: /^whsec_/,
  });
  t.match((await posthornCli('subscriptions', 'list')).stdout, /1 +active +order\.\* +http/);
  const sent = await posthornCli('send', 'order.created', '{"n":7}');
  t.match(sent.json, { status: 'accepted', deliveries: 1 });
  const id = sent.json.webhook_id as string;

  const failed = await until('the delivery has failed', async () => {
    const got = await posthornCli('get', id, '--body');
    return /subscription 1 {2}failed/.test(got.stdout) ? got : undefined;
  });
  t.match(failed.stdout, /^order\.created {2}[\w-]+\naccepted \d{4}-/);
  t.match(failed.stdout, /attempt 1 {2}failed 400/);
  t.match(failed.stdout, /attempt 2 {2}failed 400/);
  t.match(failed.stdout, /\n {4}new connection: connect \d+, first byte \d+, body \d+ ms\n/);
  t.match(failed.stdout, /\n {4}reused connection: first byte \d+, body \d+ ms\n/);
  t.match(failed.stdout, /\n {4}answer: <answer>/);
  t.match(failed.stdout, /"n":7/);
  t.notOk(failed.stdout.includes('\u001b'), 'a receiver cannot write to the terminal');
  t.match((await posthornCli('get', id, '--json')).json, {
    webhook_id: id,
    deliveries: [{ state: 'failed' }],
  });

  const retried = await posthornCli('retry', id);
  t.equal(retried.stdout, `Sending again: ${id}.1\n`);
  await until('it is delivered', async () => {
    const { stdout } = await posthornCli('get', id);
    return /subscription 1 {2}succeeded/.test(stdout) || undefined;
  });
  t.equal(
    (await posthornCli('retry', id)).stdout,
    'None of its deliveries has failed or was cancelled.\n',
  );
  t.match(await posthornCli('cancel', id), { code: 4, stderr: /./ });
  t.match(await posthornCli('cancel', `${id}.1`), { code: 4, stderr: /has succeeded or failed/ });
  const later = await posthorn.request(
    'POST',
    '/v1/webhooks',
    { event_type: 'order.created', data: {}, deliver_at: new Date(Date.now() + 7_200_000) },
    { authorization: `Bearer ${ADMIN}` },
  );
  t.match(await posthornCli('cancel', `${later.json.webhook_id}.1`), {
    code: 0,
    stdout: 'It is cancelled.\n',
  });

  const replayed = await posthornCli('replay', '1', '--since', '1h', '--states', 'succeeded');
  t.match(replayed, { code: 0, stdout: 'succeeded: 1 deliveries\n' });
  const tested = await posthornCli('subscriptions', 'test', '1', '--json');
  t.match(tested, { code: 0, json: { status: 'success', response: { status_code: 200 } } });
  await until('what is replayed has left the queue', async () => {
    const { json } = await posthornCli('stats', '--json');
    return json.queue.due === 0 && json.queue.workers === 1;
  });
  t.match((await posthornCli('stats')).stdout, /accepted +\d+[\s\S]*workers alive +1/);
});

t.test('subscriptions, keys, tenants and event types are managed by commands', async (t) => {
  const { posthornCli } = await start(t);
  t.equal((await posthornCli('tenants', 'create', 'acme', '--name', 'Acme')).code, 0);
  t.match((await posthornCli('tenants', 'list', '--json')).json, [
    { id: 'acme' },
    { id: 'default' },
  ]);
  const url = 'https://example.com/hook';
  t.equal((await posthornCli('subscriptions', 'create', url, '--tenant', 'acme')).code, 0);
  t.match(await posthornCli('subscriptions', 'get', '1'), { code: 3 }, 'it is of another tenant');
  const acme = ['--tenant', 'acme', '--json'];
  for (const [args, expected] of [
    [
      ['update', '1', '--set', 'max_in_flight=3', '--description', 'x'],
      { max_in_flight: 3, description: 'x' },
    ],
    [['pause', '1', '--reason', 'moving'], { status: 'paused', status_reason: 'moving' }],
    [['resume', '1'], { status: 'active' }],
    [['enable', '1'], { status: 'active' }],
    [['rotate-secret', '1'], { secret: /./ }],
    [['delete', '1'], {}],
  ] as const)
    t.match(
      await posthornCli('subscriptions', ...args, ...acme),
      { code: 0, json: expected },
      args[0],
    );

  const file = join(t.testdir(), 'openapi.json');
  const schema = { type: 'object' };
  const post = {
    requestBody: { content: { 'application/json': { schema } } },
    responses: { 200: { description: 'taken' } },
  };
  writeFileSync(
    file,
    JSON.stringify({
      openapi: '3.1.0',
      info: { title: 'shop', version: '1' },
      webhooks: { 'order.created': { post } },
    }),
  );
  t.match(await posthornCli('event-types', 'import', file), {
    stdout: '1 created, 0 updated.\n',
    stderr: '',
  });
  t.match((await posthornCli('event-types', 'get', 'order.created')).json, { schema });
  const yaml = join(t.testdir(), 'openapi.yaml');
  writeFileSync(
    yaml,
    `openapi: 3.1.0
info: { title: shop, version: '1' }
webhooks:
  order.created: &post
    post:
      requestBody: { content: { application/json: { schema: { type: object, required: [id] } } } }
      responses: { '200': { description: taken } }
  order.paid: *post
`,
  );
  t.match((await posthornCli('event-types', 'import', yaml, '--json')).json, {
    created: ['order.paid'],
    updated: ['order.created'],
  });
  writeFileSync(yaml, 'openapi: [3.1.0\nwebhooks: {');
  t.match(await posthornCli('event-types', 'import', yaml), {
    code: 2,
    stderr: /^posthorn: The file .*openapi\.yaml is no YAML: .+ at line 2, column 1\.\n$/,
  });
  writeFileSync(yaml, 'a text');
  t.match(await posthornCli('event-types', 'import', yaml), { code: 4, stderr: /answered 400: / });

  const key = (
    await posthornCli('keys', 'create', '--scopes', 'read', '--name', 'shop')
  ).stdout.trim();
  const listed = await posthornCli('keys', 'list', '--json');
  t.match(listed.json, [{ name: 'shop', scopes: ['read'] }]);
  t.equal((await posthornCli('subscriptions', 'list', '--key', key)).code, 0);
  t.equal(
    (await posthornCli('subscriptions', 'create', url, '--key', key)).code,
    4,
    'a scope is missing',
  );
  t.equal((await posthornCli('keys', 'revoke', String(listed.json[0].id))).code, 0);
  const revoked = await posthornCli('subscriptions', 'list', '--key', key);
  t.match(revoked, { code: 4, stderr: /answered 401: This key was revoked\.\n$/ });
});

t.test('a profile names a Posthorn and its key', async (t) => {
  const { posthorn } = await start(t);
  const config = t.testdir();
  const write = (text: string) => {
    mkdirSync(join(config, 'posthorn'), { recursive: true });
    writeFileSync(join(config, 'posthorn', 'config.json'), text);
  };
  const env = { XDG_CONFIG_HOME: config };
  write(JSON.stringify({ profiles: { prod: { url: posthorn.url, key: ADMIN } } }));
  t.equal((await run(t, ['keys', 'list', '--profile', 'prod'], env)).code, 0);
  t.equal((await run(t, ['keys', 'list'], { ...env, POSTHORN_PROFILE: 'prod' })).code, 0);
  const unknown = await run(t, ['keys', 'list', '--profile', 'test'], env);
  t.match(unknown, { code: 2, stderr: /has no profile "test"; it has prod\.\n$/ });
  write('{"profiles": []');
  t.match(await run(t, ['keys', 'list', '--profile', 'prod'], env), {
    code: 2,
    stderr: /cannot be read/,
  });
});

t.test('every command that prints something else than files and logs has --json', async (t) => {
  const { stdout } = await run(t, ['completion', 'bash'], {});
  const lines = [...stdout.matchAll(/^ {4}'(posthorn[^']*)'\) .*compgen -W '([^']*)'/gm)];
  const commands = new Map(lines.map(([, path = '', words = '']) => [path, words.split(' ')]));
  t.ok(commands.size > 30);
  const paths = [...commands.keys()];
  for (const [path, words] of commands) {
    const isGroup = paths.some((other) => other.startsWith(`${path} `));
    if (isGroup || /^posthorn (start|demo|completion)$/.test(path)) continue;
    t.ok(words.includes('--json'), path);
  }
});

t.test('a shell completes commands and options', async (t) => {
  const { stdout } = await run(t, ['completion', 'bash'], {});
  const complete = (...words: string[]) =>
    spawnSync(
      'bash',
      [
        '-c',
        `${stdout}\nCOMP_WORDS=(posthorn "$@"); COMP_CWORD=$#; _posthorn; echo "\${COMPREPLY[*]}"`,
        'bash',
        ...words,
      ],
      { encoding: 'utf8' },
    ).stdout.trim();
  t.equal(complete('subs'), 'subscriptions');
  t.equal(complete('subscriptions', 'pa'), 'pause');
  t.match(complete('subscriptions', 'pause', '7', '--re'), '--reason');
  t.match((await run(t, ['completion', 'zsh'], {})).stdout, /'pause:hold its deliveries'/);
  t.match((await run(t, ['completion', 'fish'], {})).stdout, /complete -c posthorn .* -a pause/);
});

t.test('the doctor says what is wrong, and what to do', async (t) => {
  const { posthorn } = await start(t);
  const env = { DATABASE_URL: posthorn.databaseUrl, POSTHORN_ADMIN_KEY: ADMIN };
  const healthy = await run(t, ['doctor', '--json'], env);
  // The Postgres of the tests does not survive a crash of the machine, to be quicker.
  t.match(
    healthy.json.filter(({ status }: { status: string }) => status === 'problem'),
    [{ check: 'durability', text: /fsync = off/ }],
  );
  t.equal(healthy.code, 1);
  await posthorn.service.stop();
  const ill = await run(t, ['doctor'], { ...env, POSTHORN_ADMIN_KEY: 'aaaaaaaaaaaaaaaaaaaaaaaa' });
  t.equal(ill.code, 1);
  t.match(ill.stdout, /problem +workers +No worker is alive[^\n]*\n +Run posthorn start\./);
  t.match(ill.stdout, /problem +access +POSTHORN_ADMIN_KEY can be guessed\./);
});

t.test('a terminal shows what happens, and goes on when the service is back', async (t) => {
  const receiver = await startReceiver(t);
  const { posthorn, env, posthornCli } = await start(t);
  const url = `${receiver.url}/hook`;
  t.equal((await posthornCli('subscriptions', 'create', url, '--types', 'order.*')).code, 0);
  const tail = await startCli(t, ['tail'], env);
  const json = await startCli(t, ['tail', '--json', '--state', 'succeeded'], env);
  await until('both follow', async () => {
    const { text } = await posthorn.request('GET', '/metrics');
    return /^posthorn_event_streams 2$/m.test(text) || undefined;
  });
  const sent = await posthornCli('send', 'order.created', '{"n":7}');
  const id = sent.json.webhook_id as string;
  await until('the delivery is shown', () =>
    new RegExp(`delivered order\\.created → 1 .*${id}`).test(tail.output.stdout),
  );
  t.match(tail.output.stdout, new RegExp(`accepted  order\\.created .*${id}`));
  t.match(
    tail.output.stdout,
    /attempt {3}order\.created → 1 {2}attempt 1 {2}success {2}200 {2}\d+ ms/,
  );
  await until('the filter lets it through', () => json.output.stdout !== '');
  t.match(JSON.parse(json.output.stdout), {
    event: 'delivered',
    webhook_id: id,
    state: 'succeeded',
  });

  const { port } = new URL(posthorn.url);
  await posthorn.service.stop();
  const again = await startTestService(t, {
    POSTHORN_ADMIN_KEY: ADMIN,
    DATABASE_URL: posthorn.databaseUrl,
    PORT: port,
  });
  t.equal(again.url, posthorn.url);
  const other = (await posthornCli('send', 'order.paid', '{}')).json.webhook_id as string;
  await until('it is shown too', () =>
    new RegExp(`delivered order\\.paid .*${other}`).test(tail.output.stdout),
  );
  t.equal(tail.child.exitCode, null);
});
