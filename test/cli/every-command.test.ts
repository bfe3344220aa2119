// Every command of `posthorn`, with good input and with each kind of bad input: it ends with the documented exit code,
// and an error is one line. A command that is not in the table fails the first test.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startCli } from '../helpers/cli.ts';
import { startCliRunner } from '../helpers/cli-runner.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const ADMIN = 'an admin key of some length';
const UNKNOWN = '01890000-0000-7000-8000-000000000000';
const NOWHERE = 'http://127.0.0.1:9';

type Line = readonly string[];

interface Case {
  /** A command that does what it is for. Its words in braces are things that exist: `{webhook}`. */
  readonly good?: Line;
  /** Its exit code, if it is not 0. */
  readonly goodCode?: number;
  /** Lines that are wrong, that name what does not exist, and that the service refuses. */
  readonly usage?: readonly Line[];
  readonly notFound?: readonly Line[];
  readonly refused?: readonly Line[];
  /** What it talks to. A command that asks nobody cannot be refused. */
  readonly asks: 'the service' | 'the database' | 'nobody';
  /** It goes on until Ctrl-C, so the good line is run by a test of its own. */
  readonly endless?: boolean;
  /** Its output is not JSON, even with --json. */
  readonly plain?: boolean;
  /** The test that runs it instead. */
  readonly elsewhere?: string;
}

const subscription = (action: string, more: Line = []): Case => ({
  asks: 'the service',
  good: ['subscriptions', action, '{subscription}', ...more],
  usage: [
    ['subscriptions', action],
    ['subscriptions', action, 'x', ...more],
    ['subscriptions', action, '1', ...more, '--no-such-option'],
  ],
  notFound: [['subscriptions', action, '777', ...more]],
});

const CASES: Readonly<Record<string, Case>> = {
  start: { asks: 'nobody', elsewhere: 'test/cli/start.test.ts', usage: [['start', '--port', '1']] },
  demo: { asks: 'nobody', elsewhere: 'test/cli/commands.test.ts', usage: [['demo', '--stop']] },
  completion: {
    asks: 'nobody',
    plain: true,
    good: ['completion', 'zsh'],
    usage: [['completion'], ['completion', 'tcsh']],
  },
  migrate: {
    asks: 'the database',
    good: ['migrate', '--status'],
    usage: [
      ['migrate', '--from', '1'],
      ['migrate', '--sql', '--from', '999'],
      ['migrate', '--sql', '--json'],
    ],
  },
  doctor: {
    asks: 'the database',
    good: ['doctor'],
    // The Postgres of the tests does not survive a crash of the machine, to be quicker.
    goodCode: 1,
    usage: [['doctor', '--fix']],
  },
  export: {
    asks: 'the database',
    plain: true,
    good: ['export', 'webhooks', '--since', '1h'],
    usage: [
      ['export'],
      ['export', 'webhooks', '--since', 'soon'],
      ['export', 'nothing', '--since', '1h'],
      ['export', 'webhooks', '--since', '1h', '--format', 'parquet'],
      ['export', '--since', '1h'],
    ],
  },
  'homes add': {
    asks: 'the database',
    elsewhere: 'test/placement/homes.test.ts',
    usage: [
      ['homes', 'add'],
      ['homes', 'add', '--api-url', 'example.com'],
    ],
  },
  'homes list': {
    asks: 'the database',
    elsewhere: 'test/placement/homes.test.ts',
    usage: [['homes', 'list', '--all']],
  },
  'keys rotate-encryption': {
    asks: 'the database',
    good: ['keys', 'rotate-encryption'],
    usage: [['keys', 'rotate-encryption', '--key', 'x']],
  },
  'keys create': {
    asks: 'the service',
    good: ['keys', 'create', '--scopes', 'read'],
    usage: [
      ['keys', 'create'],
      ['keys', 'create', '--scopes', 'read', '--expires', 'soon'],
    ],
    notFound: [['keys', 'create', '--scopes', 'read', '--tenant', 'nobody']],
    refused: [['keys', 'create', '--scopes', 'fly']],
  },
  'keys list': { asks: 'the service', good: ['keys', 'list'], usage: [['keys', 'list', '--all']] },
  'keys revoke': {
    asks: 'the service',
    good: ['keys', 'revoke', '{key}'],
    usage: [
      ['keys', 'revoke'],
      ['keys', 'revoke', 'x'],
    ],
    notFound: [['keys', 'revoke', '777']],
  },
  'tenants list': {
    asks: 'the service',
    good: ['tenants', 'list'],
    usage: [['tenants', 'list', '--all']],
  },
  'tenants get': {
    asks: 'the service',
    good: ['tenants', 'get', 'default'],
    usage: [['tenants', 'get']],
    notFound: [['tenants', 'get', 'nobody']],
  },
  'tenants create': {
    asks: 'the service',
    good: ['tenants', 'create', '{new}'],
    usage: [['tenants', 'create']],
    refused: [
      ['tenants', 'create', 'not an id'],
      ['tenants', 'create', 'default'],
      ['tenants', 'create', 'brief', '--retention', '1s'],
    ],
  },
  'tenants delete': {
    asks: 'the service',
    good: ['tenants', 'delete', '{tenant}'],
    usage: [['tenants', 'delete']],
    notFound: [['tenants', 'delete', 'nobody']],
    refused: [['tenants', 'delete', 'default']],
  },
  'tenants move': {
    asks: 'the database',
    elsewhere: 'test/placement/move.test.ts',
    usage: [
      ['tenants', 'move', 'acme'],
      ['tenants', 'move', '--to', 'db2'],
      ['tenants', 'move', 'acme', '--to', 'db2', '--now'],
    ],
  },
  'event-types list': {
    asks: 'the service',
    good: ['event-types', 'list'],
    usage: [['event-types', 'list', '--all']],
    notFound: [['event-types', 'list', '--tenant', 'nobody']],
  },
  'event-types get': {
    asks: 'the service',
    good: ['event-types', 'get', 'order.created'],
    usage: [['event-types', 'get']],
    notFound: [['event-types', 'get', 'no.such']],
  },
  'event-types import': {
    asks: 'the service',
    good: ['event-types', 'import', '{openapi}'],
    usage: [
      ['event-types', 'import'],
      ['event-types', 'import', '/nowhere'],
    ],
    refused: [['event-types', 'import', '{text}']],
  },
  'subscriptions list': {
    asks: 'the service',
    good: ['subscriptions', 'list'],
    usage: [['subscriptions', 'list', '--all']],
    notFound: [['subscriptions', 'list', '--tenant', 'nobody']],
  },
  'subscriptions create': {
    asks: 'the service',
    good: ['subscriptions', 'create', '{url}', '--generate-secret'],
    usage: [
      ['subscriptions', 'create'],
      ['subscriptions', 'create', '{url}', '--set', 'timeout=10s'],
      ['subscriptions', 'create', '{url}', '--set', 'timeout'],
    ],
    refused: [
      ['subscriptions', 'create', 'ftp://example.com'],
      ['subscriptions', 'create', '{url}', '--types', 'a b'],
      ['subscriptions', 'create', '{url}', '--set', 'no_such=1'],
    ],
  },
  'subscriptions get': subscription('get'),
  'subscriptions update': subscription('update', ['--description', 'x']),
  'subscriptions pause': subscription('pause', ['--reason', 'x']),
  'subscriptions resume': subscription('resume'),
  'subscriptions enable': subscription('enable', ['--skip']),
  'subscriptions test': subscription('test'),
  'subscriptions rotate-secret': subscription('rotate-secret', ['--overlap', '1h']),
  'subscriptions delete': subscription('delete'),
  send: {
    asks: 'the service',
    good: ['send', 'order.created', '{"n":7}'],
    usage: [
      ['send'],
      ['send', 'order.created'],
      ['send', 'order.created', '{'],
      ['send', 'order.created', '@/nowhere'],
      ['send', 'order.created', '{}', '--secret', 'x'],
    ],
    notFound: [
      ['send', '777', '{}'],
      ['send', 'order.created', '{}', '--tenant', 'nobody'],
    ],
    refused: [['send', 'not a type', '{}']],
  },
  trigger: {
    asks: 'the service',
    good: ['trigger', 'github.push', '--subscription', '{subscription}'],
    usage: [
      ['trigger'],
      ['trigger', 'github.nothing'],
      ['trigger', 'github.push'],
      ['trigger', 'github.push', '--to', 'nowhere'],
      ['trigger', 'github.push', '--to', '{url}', '--set', 'x'],
      ['trigger', 'github.push', '--to', '{url}', '--subscription', '1'],
    ],
    notFound: [['trigger', 'github.push', '--subscription', '777']],
  },
  get: {
    asks: 'the service',
    good: ['get', '{webhook}', '--body'],
    usage: [['get'], ['get', 'not-an-id'], ['get', `${UNKNOWN}.1`]],
    notFound: [['get', UNKNOWN]],
  },
  retry: {
    asks: 'the service',
    good: ['retry', '{webhook}.{subscription}'],
    usage: [['retry'], ['retry', 'not-an-id'], ['retry', `${UNKNOWN}.x`]],
    notFound: [
      ['retry', UNKNOWN],
      ['retry', `${UNKNOWN}.1`],
    ],
  },
  replay: {
    asks: 'the service',
    good: ['replay', '{subscription}', '--since', '1h', '--detach'],
    usage: [
      ['replay'],
      ['replay', '1'],
      ['replay', 'x', '--since', '1h'],
      ['replay', '1', '--since', 'soon'],
    ],
    notFound: [['replay', '777', '--since', '1h']],
    refused: [
      ['replay', '{subscription}', '--since', '1h', '--states', 'nonsense'],
      ['replay', '{subscription}', '--since', '1h', '--rate', 'x'],
    ],
  },
  cancel: {
    asks: 'the service',
    good: ['cancel', '--since', '1h', '--subscription', '{subscription}', '--detach'],
    usage: [
      ['cancel'],
      ['cancel', 'not-an-id'],
      ['cancel', UNKNOWN, '--since', '1h'],
      ['cancel', '--since', 'soon'],
      ['cancel', '--since', '1h', '--subscription', 'x'],
    ],
    notFound: [
      ['cancel', UNKNOWN],
      ['cancel', `${UNKNOWN}.1`],
      ['cancel', '--since', '1h', '--subscription', '777'],
    ],
    refused: [['cancel', '--since', '1h', '--types', 'a b']],
  },
  stats: {
    asks: 'the service',
    good: ['stats'],
    usage: [
      ['stats', '--window', '2h'],
      ['stats', '--subscription', 'x'],
      ['stats', '--url', 'nonsense'],
      ['stats', '--profile', 'nobody'],
    ],
    notFound: [['stats', '--tenant', 'nobody']],
  },
  listen: {
    asks: 'the service',
    endless: true,
    good: ['listen', '--forward', '{url}', '--replay', '1'],
    usage: [
      ['listen'],
      ['listen', '--forward', 'nowhere'],
      ['listen', '--forward', '{url}', '--replay', '0'],
      ['listen', '--forward', '{url}', '--replay', '101'],
      ['listen', '--forward', '{url}', '--subscription', 'x'],
    ],
    notFound: [
      ['listen', '--forward', '{url}', '--subscription', '777'],
      ['listen', '--forward', '{url}', '--tenant', 'nobody'],
    ],
    refused: [
      ['listen', '--forward', '{url}', '--subscription', '{subscription}'],
      ['listen', '--forward', 'a..b={url}'],
    ],
  },
  tail: {
    asks: 'the service',
    endless: true,
    good: ['tail'],
    usage: [['tail', '--subscription', 'x']],
    notFound: [['tail', '--tenant', 'nobody']],
    refused: [['tail', '--state', 'nonsense']],
  },
};

const LONG = 'x'.repeat(5_000);
/**
 * For each command that asks the service, its options and arguments whose values the service may refuse, each in a line with
 * a value that it refuses. (Ids and times are read by the command itself.)
 */
const REFUSED_VALUES: Readonly<Record<string, Readonly<Record<string, Line>>>> = {
  'keys create': {
    '--scopes': ['--scopes', 'nonsense'],
    '--name': ['--scopes', 'read', '--name', LONG],
    '--environment': ['--scopes', 'read', '--environment', 'moon'],
  },
  'subscriptions create': {
    '<url>': ['ftp://example.com'],
    '--types': ['{url}', '--types', 'a b'],
    '--description': ['{url}', '--description', LONG],
    '--set timeout': ['{url}', '--set', 'timeout=true'],
    '--set rate_limit.limit': ['{url}', '--set', 'rate_limit={"limit":"x","per":"1s"}'],
    '--set no_such': ['{url}', '--set', 'no_such=1'],
  },
  'subscriptions update': {
    '--to': ['{subscription}', '--to', 'ftp://example.com'],
    '--types': ['{subscription}', '--types', 'a b'],
    '--description': ['{subscription}', '--description', LONG],
    '--set timeout': ['{subscription}', '--set', 'timeout=true'],
  },
  'subscriptions pause': { '--reason': ['{subscription}', '--reason', LONG] },
  'subscriptions rotate-secret': { '--overlap': ['{subscription}', '--overlap', 'soon'] },
  'tenants create': {
    '<id>': ['not an id'],
    '--name': ['long-name', '--name', LONG],
    '--retention': ['brief', '--retention', '1s'],
  },
  send: { '<type|subscription>': ['not a type', '{}'] },
  replay: {
    '--states': ['{subscription}', '--since', '1h', '--states', 'nonsense'],
    '--types': ['{subscription}', '--since', '1h', '--types', 'a b'],
    '--rate': ['{subscription}', '--since', '1h', '--rate', 'x'],
    '--since': ['{subscription}', '--since', '1h', '--until', '2h'],
  },
  cancel: {
    '--types': ['--since', '1h', '--types', 'a b'],
  },
  listen: { '--forward': ['--forward', 'a..b={url}'] },
  tail: {
    '--state': ['--state', 'nonsense'],
    '--type': ['--type', 'a b'],
  },
};
/** Options that the command itself reads, or that the service cannot refuse. */
const READ_HERE = [
  'cancel --since',
  'cancel --subscription',
  'cancel --until',
  'get --body',
  'keys create --expires',
  'listen --replay',
  'listen --subscription',
  'replay --until',
  'send --secret',
  'stats --subscription',
  'stats --window',
  'tail --subscription',
  'trigger --secret',
  'trigger --set',
  'trigger --subscription',
  'trigger --to',
];

const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: ADMIN });
const receiver = await startReceiver(t);
const run = startCliRunner(t);
const env = {
  POSTHORN_URL: posthorn.url,
  POSTHORN_KEY: ADMIN,
  DATABASE_URL: posthorn.databaseUrl,
  POSTHORN_ADMIN_KEY: ADMIN,
  POSTHORN_ENCRYPTION_KEY: Buffer.alloc(32, 7).toString('base64'),
};
const post = async (path: string, body: object) => {
  const { status, json, text } = await posthorn.request('POST', path, body, {
    authorization: `Bearer ${ADMIN}`,
  });
  if (status >= 300) throw new Error(text);
  return json;
};

await post('/v1/event-types', { name: 'order.created' });

/** Puts things that exist in the place of words in braces: new ones each time, since a command may end them. */
async function filled(t: Test, line: Line): Promise<string[]> {
  const words = new Set(line.join(' ').match(/\{\w+\}/g));
  const things: Record<string, string> = { '{url}': `${receiver.url}/hook` };
  if (words.has('{subscription}')) {
    const { id } = await post('/v1/subscriptions', { url: things['{url}'], event_types: [] });
    things['{subscription}'] = `${id}`;
    if (words.has('{webhook}')) things['{webhook}'] = (await post(`/ingest/${id}`, {})).webhook_id;
  } else if (words.has('{webhook}')) {
    things['{webhook}'] = (
      await post('/v1/webhooks', { event_type: 'order.created', data: {} })
    ).webhook_id;
  }
  if (words.has('{key}')) things['{key}'] = `${(await post('/v1/keys', { scopes: ['read'] })).id}`;
  names += 1;
  things['{new}'] = `new-${names}`;
  if (words.has('{tenant}'))
    things['{tenant}'] = (await post('/v1/tenants', { id: `t-${names}` })).id;
  const folder = t.testdir({ text: 'a text' });
  things['{text}'] = join(folder, 'text');
  things['{openapi}'] = join(folder, 'openapi.json');
  writeFileSync(
    things['{openapi}'],
    JSON.stringify({
      openapi: '3.1.0',
      info: { title: 'x', version: '1' },
      webhooks: { 'order.created': { post: { responses: { 200: { description: 'taken' } } } } },
    }),
  );
  return line.map((word) => word.replaceAll(/\{\w+\}/g, (name) => things[name] ?? name));
}
let names = 0;

/** One line, which says what is wrong. */
const ONE_LINE = /^posthorn: .+\n$/;

async function fails(t: Test, line: Line, code: number, more: Record<string, string> = {}) {
  const ended = await run(await filled(t, line), { ...env, ...more });
  const name = line.join(' ');
  t.equal(ended.code, code, `${name} ends with ${code}: ${ended.stderr}`);
  t.match(ended.stderr, ONE_LINE, `${name} says so in one line`);
  t.equal(ended.stdout, '', `${name} prints nothing else`);
}

t.test('every command is in the table', async (t) => {
  const { stdout } = await run(['completion', 'bash'], {});
  const paths = [...stdout.matchAll(/^ {4}'posthorn ([^']+)'\) /gm)].map(([, path = '']) => path);
  const commands = paths.filter((path) => !paths.some((other) => other.startsWith(`${path} `)));
  t.ok(commands.length > 30);
  t.strictSame(commands.toSorted(), Object.keys(CASES).toSorted());
  for (const [command, { good, elsewhere, usage }] of Object.entries(CASES)) {
    t.ok(usage !== undefined && (good ?? elsewhere), `${command} has good and bad input`);
    const help = await run([...command.split(' '), '--help'], {});
    t.match(help, { code: 0, stdout: /^Usage: posthorn /, stderr: '' }, `${command} --help`);
  }
});

t.test('a wrong command line ends with 2', async (t) => {
  for (const { usage = [] } of Object.values(CASES))
    for (const line of usage) await fails(t, line, 2);
  await fails(t, ['fly'], 2);
  // Each says where help is, and what was probably meant.
  for (const [line, said] of [
    ['gte', "unknown command 'gte'; did you mean get? See posthorn --help."],
    ['keys lst', "unknown command 'lst'; did you mean list? See posthorn keys --help."],
    [
      'stats --wnidow 1h',
      "unknown option '--wnidow'; did you mean --window? See posthorn stats --help.",
    ],
    ['get', "missing required argument 'webhook id'. See posthorn get --help."],
    ['send order.created @/no/file', 'The file /no/file cannot be read: it does not exist.'],
  ] as const)
    t.equal((await run(line.split(' '), env)).stderr, `posthorn: ${said}\n`);
});

t.test('what does not exist ends with 3, and what is refused with 4', async (t) => {
  for (const { notFound = [], refused = [] } of Object.values(CASES)) {
    for (const line of notFound) await fails(t, line, 3);
    for (const line of refused) await fails(t, line, 4);
  }
});

t.test('what the service refuses is said of the option or argument that has it', async (t) => {
  for (const [command, lines] of Object.entries(REFUSED_VALUES))
    for (const [option, line] of Object.entries(lines)) {
      const all = [...command.split(' '), ...line];
      const { code, stderr } = await run(await filled(t, all), env);
      t.equal(code, 4, stderr);
      t.match(stderr, `: ${option} `, all.join(' ').slice(0, 80));
      t.notMatch(stderr, /\b(body|query)\./, all.join(' ').slice(0, 80));
    }
});

t.test('every option with a value is tried with one that is refused', async (t) => {
  const { createCommands } = await import('../../src/cli/commands.ts');
  const missing = createCommands()
    .flatMap((command) => (command.commands.length > 0 ? [...command.commands] : [command]))
    .flatMap((command) => {
      const path = [command.parent?.name(), command.name()].filter(Boolean).join(' ');
      if (CASES[path]?.asks !== 'the service') return [];
      const tried = Object.keys(REFUSED_VALUES[path] ?? {});
      return command.options
        .filter(({ required, long }) => required && !COMMON.includes(long ?? ''))
        .map(({ long }) => long ?? '')
        .filter((long) => !tried.some((option) => option.split(' ')[0] === long))
        .map((long) => `${path} ${long}`)
        .filter((option) => !READ_HERE.includes(option));
    });
  t.strictSame(missing, []);
});
const COMMON = ['--url', '--key', '--profile', '--tenant'];

t.test('a key that was revoked ends with 4, and no Posthorn with 5', async (t) => {
  const { id, key } = await post('/v1/keys', { scopes: ['admin'] });
  await posthorn.request('DELETE', `/v1/keys/${id}`, undefined, {
    authorization: `Bearer ${ADMIN}`,
  });
  // Another program, which answers everything.
  const other = await startReceiver(t, (response) => response.end('<html>'));
  for (const { good, asks } of Object.values(CASES)) {
    if (good === undefined || asks !== 'the service') continue;
    await fails(t, good, 4, { POSTHORN_KEY: key });
    await fails(t, good, 5, { POSTHORN_URL: NOWHERE });
    const [command = ''] = good;
    // These print an answer as it comes.
    if (!['send', 'trigger', 'tail'].includes(command))
      await fails(t, good, 5, { POSTHORN_URL: other.url });
  }
});

t.test('no database ends with 1, or 5 of an export', async (t) => {
  for (const { good, asks } of Object.values(CASES))
    if (good !== undefined && asks === 'the database')
      await fails(t, good, good[0] === 'export' ? 5 : 1, {
        DATABASE_URL: 'postgres://nobody@127.0.0.1:9/nothing',
      });
});

t.test('good input ends with 0, and with --json prints JSON', async (t) => {
  for (const { good, goodCode = 0, endless, plain, asks } of Object.values(CASES)) {
    // An export writes to a pipe of its own.
    if (good === undefined || endless || good[0] === 'export') continue;
    for (const more of asks === 'nobody' ? [[]] : [[], ['--json']]) {
      const line = [...(await filled(t, good)), ...more];
      const ended = await run(line, env);
      const name = line.join(' ');
      t.equal(ended.code, goodCode, `${name}: ${ended.stderr}`);
      t.not(ended.stdout, '', `${name} prints something`);
      if (more.length > 0 && !plain)
        t.doesNotThrow(() => JSON.parse(ended.stdout), `${name}: ${ended.stdout}`);
      // Two say what must not get into the pipe with a secret.
      t.match(ended.stderr, /^(This is .* It is not shown again\.\n)?$/, name);
    }
  }
});

t.test('a command whose reader has gone ends without a word', async (t) => {
  // One command of each group: the commands of a group print in the same way.
  const first = Object.entries(CASES).filter(
    ([command], nth, all) =>
      all.findIndex(([other]) => other.split(' ')[0] === command.split(' ')[0]) === nth,
  );
  const lines = first.flatMap(([, { good }]) => (good === undefined ? [] : [good]));
  const runs = [...lines, ['stats', '--watch']].map((line) => async () => {
    const cli = await startCli(t, await filled(t, line), env);
    // Before it writes.
    cli.child.stdout?.destroy();
    // `tail` has something to say when something happens.
    const ended = await until(`${line.join(' ')} has ended`, async () => {
      if (line[0] === 'tail') await post('/v1/webhooks', { event_type: 'tail.test', data: {} });
      return cli.child.exitCode !== null && { code: cli.child.exitCode };
    });
    t.equal(ended.code, 0, `${line.join(' ')}: ${cli.output.stderr}`);
    t.match(cli.output.stderr, /^(This is .*\n)?$/, line.join(' '));
  });
  const take = async () => {
    for (let next = runs.shift(); next !== undefined; next = runs.shift()) await next();
  };
  await Promise.all([take(), take(), take()]);
});
