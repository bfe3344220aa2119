import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { startCli } from '../helpers/cli.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

t.test('--version and --help answer, with examples for every command', async (t) => {
  const { version } = JSON.parse(
    await readFile(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8'),
  );
  const run = async (...args: string[]) => {
    const cli = await startCli(t, args);
    t.equal(await cli.exited, 0);
    return cli.output.stdout;
  };
  t.equal(await run('--version'), `${version}\n`);
  t.match(await run(), /Commands:/);
  for (const command of [[], ['start'], ['migrate'], ['demo'], ['send']]) {
    t.match(await run(...command, '--help'), /Examples:\n {2}\$ .*posthorn/);
  }
});

t.test('an old Node is refused in one line, which names the version that is needed', async (t) => {
  const bin = join(import.meta.dirname, '..', '..', 'bin', 'posthorn.js');
  const run = (version: string) =>
    spawnSync(process.execPath, [
      '--import',
      `data:text/javascript,Object.defineProperty(process.versions,'node',{value:'${version}'})`,
      bin,
      '--version',
    ]);
  for (const version of ['22.18.3', '20.20.2', '9.11.2']) {
    const old = run(version);
    t.equal(old.status, 1);
    t.equal(
      String(old.stderr),
      `posthorn: this is Node ${version}, and Posthorn needs Node 22.19 or newer.\n`,
    );
  }
  for (const version of ['22.19.0', '24.0.0', '26.0.0']) t.equal(run(version).status, 0, version);
});

t.test('npx touches no file that npm run dev watches', async (t) => {
  const root = join(import.meta.dirname, '..', '..');
  const { bin, scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  // npm marks the file of a command as executable, and a change of a watched file restarts the service.
  t.match(scripts.dev, /--watch src\/main\.ts/);
  t.not(bin.posthorn, 'src/main.ts');
});

t.test('a mistyped command is refused with a suggestion', async (t) => {
  const cli = await startCli(t, ['strat']);
  t.equal(await cli.exited, 2);
  t.match(
    cli.output.stderr,
    /^posthorn: unknown command 'strat'; did you mean start\? See posthorn --help\.\n$/,
  );
});

t.test('posthorn send sends a signed webhook', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe(receiver.url, 'the secret');
  const cli = await startCli(t, [
    'send',
    String(id),
    '{"n":1}',
    '--secret',
    'the secret',
    '--url',
    posthorn.url,
  ]);
  t.equal(await cli.exited, 0, cli.output.stderr);
  t.match(JSON.parse(cli.output.stdout), { status: 'accepted', subscription_id: id });
  t.equal((await receiver.waitFor(1))[0]?.body.toString(), '{"n":1}');

  const unsigned = await startCli(t, ['send', String(id), '{}', '--url', posthorn.url]);
  t.equal(await unsigned.exited, 4);
  t.match(unsigned.output.stderr, /^posthorn: .* answered 401: .*X-Hub-Signature-256.*\n$/);
  const nowhere = await startCli(t, ['send', '1', '{}', '--url', 'http://127.0.0.1:1']);
  t.equal(await nowhere.exited, 5);
  t.match(nowhere.output.stderr, /^posthorn: No Posthorn answers at http:\/\/127\.0\.0\.1:1 .*\n$/);
});

t.test('posthorn send reads the admin key from .env, and its help does not show it', async (t) => {
  const key = 'canary-key-of-the-operator';
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: key });
  const args = ['send', '1', '{}', '--url', posthorn.url];
  const refused = await startCli(t, args, {}, t.testdir());
  t.equal(await refused.exited, 4);
  t.match(refused.output.stderr, /answered 401: .*POSTHORN_ADMIN_KEY|answered 401: .*[Kk]ey/);
  const cwd = t.testdir({ '.env': `POSTHORN_ADMIN_KEY=${key}\n` });
  const known = await startCli(t, args, {}, cwd);
  t.equal(await known.exited, 3);
  t.match(known.output.stderr, /answered 404: /, 'it was let in, and there is no subscription');

  const help = await startCli(t, ['send', '--help'], { POSTHORN_ADMIN_KEY: key });
  t.equal(await help.exited, 0);
  t.match(help.output.stdout, /--key <key>/);
  t.notMatch(help.output.stdout, /canary/);
});

t.test(
  'commands find the service by its own PORT and HOST, of the environment or .env',
  async (t) => {
    const posthorn = await startTestService(t);
    const { port } = new URL(posthorn.url);
    const answered = /127\.0\.0\.1:\d+ answered 404: .*no subscription 4711/;
    for (const HOST of ['', '127.0.0.1', '0.0.0.0']) {
      const cli = await startCli(t, ['send', '4711', '{}'], { PORT: port, HOST });
      t.equal(await cli.exited, 3);
      t.match(cli.output.stderr, answered, `HOST=${HOST}`);
    }
    const cwd = t.testdir({ '.env': `PORT=${port}\n` });
    const dotEnv = await startCli(t, ['send', '4711', '{}'], { PORT: '' }, cwd);
    t.equal(await dotEnv.exited, 3);
    t.match(dotEnv.output.stderr, answered);

    const wrong: [env: Record<string, string>, code: number, says: RegExp][] = [
      [{ PORT: 'x' }, 1, /^posthorn: Bad setting: PORT: .*\n$/],
      [{ PORT: '0' }, 1, /^posthorn: PORT is 0, .*--url\.\n$/],
      [{ PORT: '1', HOST: '::' }, 5, /^posthorn: No Posthorn answers at http:\/\/\[::1\]:1 .*\n$/],
    ];
    for (const [env, code, says] of wrong) {
      const cli = await startCli(t, ['keys', 'list'], env);
      t.equal(await cli.exited, code);
      t.match(cli.output.stderr, says);
    }
  },
);

t.test('an id that is none is refused in one line, which names the argument', async (t) => {
  for (const id of ['x', '0', '1.5', '2147483648', '../tenants/acme']) {
    const revoke = await startCli(t, ['keys', 'revoke', id]);
    t.equal(await revoke.exited, 2);
    t.equal(
      revoke.output.stderr,
      `posthorn: The argument <id> is "${id}"; give a number, as posthorn keys list shows.\n`,
    );
  }
});

t.test('posthorn keys creates, lists and revokes a key', async (t) => {
  const adminKey = 'canary-key-of-the-operator';
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: adminKey });
  const run = async (...args: string[]) => {
    const cli = await startCli(t, ['keys', ...args, '--url', posthorn.url], {
      POSTHORN_ADMIN_KEY: adminKey,
    });
    return { code: await cli.exited, ...cli.output };
  };
  const made = await run('create', '--scopes', 'send,read', '--name', 'shop', '--expires', '90d');
  t.equal(made.code, 0, made.stderr);
  t.match(made.stdout, /^ph_live_[0-9A-Za-z]{36}\n$/, 'the key alone, for a pipe');
  t.match(made.stderr, /key 1\. It is not shown again/);
  const key = made.stdout.trim();
  const ask = async () => {
    const { status } = await posthorn.request('GET', '/v1/stats', undefined, {
      authorization: `Bearer ${key}`,
    });
    return status;
  };
  t.equal(await ask(), 200);
  const list = await run('list');
  t.match(list.stdout, new RegExp(`1 +${key.slice(0, 12)}… +default +send,read .* shop`));
  t.notOk(list.stdout.includes(key));
  t.notMatch((await run('list', '--tenant', 'acme')).stdout, /shop/);
  t.match(await run('revoke', '1'), { code: 0, stdout: 'Key 1 is revoked.\n' });
  await until('it is refused', async () => (await ask()) === 401);

  const wrong: [args: string[], exitCode: number, says: RegExp][] = [
    [['create', '--scopes', 'write'], 4, /answered 400: .*read, send, pull, manage, admin/],
    [['create', '--scopes', 'read', '--tenant', 'acme'], 3, /answered 404: .*no tenant acme/],
    [['create', '--scopes', 'read', '--expires', 'soon'], 2, /--expires: "soon" is not a duration/],
    [['revoke', '1'], 3, /answered 404: .*no key 1/],
    [['list', '--key', 'no key at all'], 4, /answered 401/],
  ];
  for (const [args, exitCode, says] of wrong) {
    const { code, stderr } = await run(...args);
    t.equal(code, exitCode);
    t.match(stderr, says);
    t.match(stderr, /^posthorn: .*\n$/, 'one line');
  }
});

t.test('a .env that cannot be read gives an error of one line', async (t) => {
  for (const args of [['start'], ['send', '1', '{}']]) {
    const cli = await startCli(t, args, {}, t.testdir({ '.env': {} }));
    t.equal(await cli.exited, 1);
    t.match(cli.output.stderr, /^posthorn: The settings in .*\.env cannot be read \(EISDIR.*\n$/);
  }
});

t.test('a demo that cannot start says so and ends', async (t) => {
  const cli = await startCli(t, ['demo'], {}, t.testdir({ '.posthorn-demo': 'a file' }));
  t.equal(await cli.exited, 1);
  t.match(
    cli.output.stderr,
    /^posthorn: The data folder .*\.posthorn-demo is not a folder\. .*\n$/,
  );
});

t.test(
  'posthorn demo shows a thousand webhooks end as expected, in less than a minute',
  async (t) => {
    const cwd = t.testdir();
    const startedAt = Date.now();
    const cli = await startCli(t, ['demo'], {}, cwd);
    t.equal(await cli.exited, 0, cli.output.stdout + cli.output.stderr);
    const tookMs = Date.now() - startedAt;
    // As many times longer as there are processes that each core must serve.
    const share = Math.max(1, (loadavg()[0] as number) / availableParallelism());
    t.ok(tookMs < 60_000 * share, `${tookMs} ms, on ${share} times too few cores`);
    t.match(
      cli.output.stdout,
      /delivered first time +\d{3} [\s\S]*delivered after retries +\d{3} [\s\S]*Every webhook ended as it should[\s\S]*--keep/,
    );
  },
);
