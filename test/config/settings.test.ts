import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { SETTINGS } from '../../src/config/known-settings.ts';
import { isLoopback, loadSettings, type Settings } from '../../src/config/settings.ts';
import { OperatorError } from '../../src/lib/errors.ts';

type Env = Record<string, string | undefined>;

/** Loads settings where there is no `.env`. */
function load(t: Test, env: Env = {}): Settings {
  return loadSettings(env, t.testdir());
}

/** The message of what is refused. */
function refusal(t: Test, env: Env, dir: string = t.testdir()): string {
  try {
    loadSettings(env, dir);
  } catch (error) {
    if (error instanceof OperatorError) return error.message;
    throw error;
  }
  throw new Error(`${JSON.stringify(env)} was not refused`);
}

const DAY_MS = 86_400_000;

t.test('without settings, only this machine can reach the service', async (t) => {
  const dir = t.testdir();
  const loaded = loadSettings({}, dir);
  t.ok(Object.isFrozen(loaded));
  const { allowNetworks, denyNetworks, allowPorts, ...settings } = loaded;
  t.hasStrict(settings, {
    host: '127.0.0.1',
    port: 5000,
    databaseUrl: undefined,
    dataDir: join(dir, '.posthorn'),
    role: 'all',
    retrySchedule: [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400].map((s) => s * 1000),
    deliveryTimeoutMs: 15_000,
    egressProxy: undefined,
    maxBodyBytes: 1_048_576,
    circuit: { failures: 10, overMs: 5_000, probeMs: 5_000, maxMs: 300_000 },
    disableAfterMs: 5 * DAY_MS,
    retentionMs: 30 * DAY_MS,
    payloadRetentionMs: 30 * DAY_MS,
    adminKey: undefined,
    authRequired: false,
    rateLimit: undefined,
    tenantRateLimit: undefined,
    shutdownGraceMs: 20_000,
    shutdownDelayMs: 0,
    maxInFlight: 1000,
    logLevel: 'info',
  });
  t.notOk(allowNetworks.contains('127.0.0.1'));
  t.notOk(denyNetworks.contains('8.8.8.8'));
  t.equal(allowPorts.text, '80, 443');
});

const KEY = 'a-key-of-17-chars';

const MAIL = { POSTHORN_SMTP_URL: 'smtps://u:p@mail.example', POSTHORN_MAIL_FROM: 'P <p@a.b>' };
const OTLP = 'OTEL_EXPORTER_OTLP_ENDPOINT';
const ALL_TRACES = { sampler: 'parentbased_always_on', ratio: 1, variables: {} };

t.test('each setting is read', async (t) => {
  const cases: [env: Env, name: keyof Settings, value: unknown][] = [
    [{ PORT: '0' }, 'port', 0],
    [{ PORT: '65535' }, 'port', 65_535],
    [{ HOST: '::1' }, 'host', '::1'],
    [{ HOST: ' localhost ' }, 'host', 'localhost'],
    [{ HOST: '0.0.0.0', POSTHORN_ADMIN_KEY: KEY }, 'host', '0.0.0.0'],
    [{ HOST: '0.0.0.0', POSTHORN_AUTH: 'off' }, 'host', '0.0.0.0'],
    [{ HOST: '0.0.0.0', POSTHORN_ROLE: 'worker' }, 'host', '0.0.0.0'],
    [{ DATABASE_URL: 'postgres://a@b/c' }, 'databaseUrl', 'postgres://a@b/c'],
    [{ DATABASE_URL: 'postgresql://a@b/c?x=y' }, 'databaseUrl', 'postgresql://a@b/c?x=y'],
    [{ POSTHORN_DATA_DIR: '/var/lib/posthorn' }, 'dataDir', '/var/lib/posthorn'],
    [{ POSTHORN_ROLE: 'api' }, 'role', 'api'],
    [{ POSTHORN_ROLE: 'worker' }, 'role', 'worker'],
    [{ POSTHORN_RETRY_SCHEDULE: '1s,2s' }, 'retrySchedule', [1000, 2000]],
    [
      { POSTHORN_RETRY_SCHEDULE: 'exponential(base=1s,attempts=4)' },
      'retrySchedule',
      [1000, 2000, 4000],
    ],
    [{ POSTHORN_DELIVERY_TIMEOUT: '100ms' }, 'deliveryTimeoutMs', 100],
    [{ POSTHORN_DELIVERY_TIMEOUT: '5m' }, 'deliveryTimeoutMs', 300_000],
    [{ POSTHORN_MAX_BODY: '1B' }, 'maxBodyBytes', 1],
    [{ POSTHORN_MAX_BODY: '64MiB' }, 'maxBodyBytes', 67_108_864],
    [{ POSTHORN_CIRCUIT: 'off' }, 'circuit', null],
    [{ POSTHORN_DISABLE_AFTER: '1s' }, 'disableAfterMs', 1_000],
    [{ POSTHORN_DISABLE_AFTER: 'off' }, 'disableAfterMs', null],
    [{ POSTHORN_RETENTION: '1d' }, 'retentionMs', DAY_MS],
    [{ POSTHORN_RETENTION: '3650d' }, 'retentionMs', 3650 * DAY_MS],
    [{ POSTHORN_RETENTION: '7d' }, 'payloadRetentionMs', 7 * DAY_MS],
    [{ POSTHORN_RETENTION: '7d' }, 'failedRetentionMs', 7 * DAY_MS],
    [{ POSTHORN_FAILED_RETENTION: '365d' }, 'failedRetentionMs', 365 * DAY_MS],
    [{ POSTHORN_PAYLOAD_RETENTION: '1h' }, 'payloadRetentionMs', DAY_MS / 24],
    [{ POSTHORN_PAYLOAD_RETENTION: '30d' }, 'payloadRetentionMs', 30 * DAY_MS],
    [{ POSTHORN_ADMIN_KEY: KEY }, 'adminKey', KEY],
    [{ POSTHORN_ADMIN_KEY: KEY }, 'authRequired', true],
    [{ POSTHORN_ADMIN_KEY: `${KEY}\n` }, 'adminKey', KEY],
    [{ POSTHORN_ADMIN_KEY: KEY, POSTHORN_AUTH: 'off' }, 'authRequired', true],
    [{ POSTHORN_RATE_LIMIT: '100/1s' }, 'rateLimit', { limit: 100, perMs: 1000 }],
    [{ POSTHORN_RATE_LIMIT: 'off' }, 'rateLimit', undefined],
    [{ POSTHORN_TENANT_RATE_LIMIT: '6000/m' }, 'tenantRateLimit', { limit: 6000, perMs: 60_000 }],
    [{ POSTHORN_SHUTDOWN_GRACE: '0s' }, 'shutdownGraceMs', 0],
    [{ POSTHORN_SHUTDOWN_GRACE: '10m' }, 'shutdownGraceMs', 600_000],
    [{ POSTHORN_SHUTDOWN_DELAY: '5m' }, 'shutdownDelayMs', 300_000],
    [{ POSTHORN_PROCESSES: '4' }, 'processes', 4],
    [{ POSTHORN_PROCESSES: 'auto' }, 'processes', availableParallelism()],
    [{ POSTHORN_MAX_IN_FLIGHT: '25' }, 'maxInFlight', 25],
    [{ POSTHORN_MAX_IN_FLIGHT: '20000' }, 'maxInFlight', 20_000],
    [{ LOG_LEVEL: 'silent' }, 'logLevel', 'silent'],
    [{ ...MAIL }, 'mail', { url: MAIL.POSTHORN_SMTP_URL, from: MAIL.POSTHORN_MAIL_FROM }],
    [
      { POSTHORN_DIRECTORY_URL: 'postgres://a@b/c', POSTHORN_HOME: 'db1' },
      'placement',
      { directoryUrl: 'postgres://a@b/c', home: 'db1' },
    ],
    [{ OTEL_SERVICE_NAME: 'shop' }, 'tracing', undefined],
    [{ [OTLP]: 'http://a:4318/' }, 'tracing', { ...ALL_TRACES, url: 'http://a:4318/v1/traces' }],
    [{ [OTLP]: 'https://a/otlp' }, 'tracing', { ...ALL_TRACES, url: 'https://a/otlp/v1/traces' }],
    [
      {
        [OTLP]: 'http://a:4318',
        OTEL_TRACES_SAMPLER: 'traceidratio',
        OTEL_TRACES_SAMPLER_ARG: '0.1',
      },
      'tracing',
      { url: 'http://a:4318/v1/traces', sampler: 'traceidratio', ratio: 0.1, variables: {} },
    ],
    [{ [OTLP]: 'http://a:4318', OTEL_SDK_DISABLED: 'true' }, 'tracing', undefined],
    [{ [OTLP]: 'http://a:4318', OTEL_TRACES_EXPORTER: 'none' }, 'tracing', undefined],
  ];
  for (const [env, name, value] of cases) {
    t.strictSame(load(t, env)[name], value, JSON.stringify(env));
  }
  const { allowNetworks } = load(t, { POSTHORN_ALLOW_NETWORKS: '127.0.0.0/8,::1/128' });
  t.ok(allowNetworks.contains('127.0.0.1') && allowNetworks.contains('::1'));
  t.notOk(allowNetworks.contains('10.0.0.1'));
  t.strictSame(load(t).encryptionKeys, [], 'none: secrets stay plain');
  const [old, young] = [
    Buffer.alloc(32, 1).toString('base64'),
    Buffer.alloc(32, 2).toString('hex'),
  ];
  const { encryptionKeys } = load(t, { POSTHORN_ENCRYPTION_KEY: `${young}, ${old}` });
  t.strictSame(
    encryptionKeys.map(({ key }) => key.export()[0]),
    [2, 1],
    'in their order: the first one encrypts',
  );
  const { denyNetworks } = load(t, { POSTHORN_DENY_NETWORKS: '8.8.8.0/24' });
  t.ok(denyNetworks.contains('8.8.8.8') && !denyNetworks.contains('8.8.9.8'));
});

t.test('ports are read as numbers and ranges, besides 80 and 443', async (t) => {
  const cases: [text: string, open: number[], shut: number[], said: string][] = [
    ['', [80, 443], [0, 1, 79, 81, 442, 444, 8080, 65_535], '80, 443'],
    ['8080', [80, 443, 8080], [8079, 8081], '80, 443, 8080'],
    [' 9000-9100, 8080,', [8080, 9000, 9050, 9100], [8999, 9101], '80, 443, 9000-9100, 8080'],
    ['80,443,80', [80, 443], [8080], '80, 443'],
    ['1-65535', [1, 65_535], [0], '80, 443, 1-65535'],
    ['*', [1, 22, 65_535], [0], '80, 443, *'],
  ];
  for (const [text, open, shut, said] of cases) {
    const { allowPorts } = load(t, { POSTHORN_ALLOW_PORTS: text });
    for (const port of open) t.ok(allowPorts.contains(port), `${port} in "${text}"`);
    for (const port of shut) t.notOk(allowPorts.contains(port), `${port} not in "${text}"`);
    t.equal(allowPorts.text, said);
  }
  for (const entry of ['http', '0', '65536', '123456', '9-8', '80-', '-80', '8e1', '80 81', '**'])
    t.equal(
      refusal(t, { POSTHORN_ALLOW_PORTS: `8080,${entry}` }),
      `Bad setting: POSTHORN_ALLOW_PORTS: "${entry}" is not a port or a range; write 8080, 9000-9100 or *`,
    );
});

t.test('an egress proxy is read as a URL, and errors do not show its password', async (t) => {
  const cases: [url: string, hostname: string, port: number, credentials: string | null][] = [
    ['http://proxy.internal:4750', 'proxy.internal', 4750, null],
    ['http://proxy.internal/', 'proxy.internal', 80, null],
    ['http://[fd00::7]:3128', 'fd00::7', 3128, null],
    ['http://user:hush@10.0.0.7:4750', '10.0.0.7', 4750, 'user:hush'],
    ['http://user@10.0.0.7:4750', '10.0.0.7', 4750, 'user:'],
    ['http://us%40er:h%3Au%2Fsh@10.0.0.7:4750', '10.0.0.7', 4750, 'us@er:h:u/sh'],
  ];
  for (const [url, hostname, port, credentials] of cases) {
    const { egressProxy } = load(t, { POSTHORN_EGRESS_PROXY: url });
    const authorization =
      credentials === null ? undefined : `Basic ${Buffer.from(credentials).toString('base64')}`;
    t.strictSame(egressProxy, { hostname, port, authorization }, url);
  }
  for (const url of [
    'proxy.internal:4750',
    'https://user:hush@proxy:4750',
    'socks5://user:hush@proxy:1080',
    'http://user:hush@proxy:4750/path',
    'http://user:hush@proxy:4750/?a=b',
    'http://user:hu/sh@proxy:4750',
    'http://user:hush@',
  ])
    t.equal(
      refusal(t, { POSTHORN_EGRESS_PROXY: url }),
      'Bad setting: POSTHORN_EGRESS_PROXY: it must look like http://user:password@host:port',
      url,
    );
  t.equal(
    refusal(t, { POSTHORN_EGRESS_PROXY: 'http://user:hush%@proxy:4750' }),
    'Bad setting: POSTHORN_EGRESS_PROXY: a % in its user name or password must be written as %25',
  );
});

t.test('an error about a key does not show the key', async (t) => {
  const message = refusal(t, { POSTHORN_ENCRYPTION_KEY: 'hush-hush' });
  t.match(message, /^Bad setting: POSTHORN_ENCRYPTION_KEY: key 1 is not 32 bytes .*openssl rand/);
  t.notMatch(message, /hush/);
});

t.test('a wrong setting is refused with what would be right', async (t) => {
  const cases: [name: string, text: string, why: string][] = [
    ['PORT', '65536', '"65536" is not a whole number from 0 to 65535'],
    ['PORT', '-1', '"-1" is not a whole number from 0 to 65535'],
    ['PORT', '80.5', '"80.5" is not a whole number from 0 to 65535'],
    ['PORT', 'http', '"http" is not a whole number from 0 to 65535'],
    [
      'DATABASE_URL',
      'mysql://a@b/c',
      'it must look like postgres://user:password@host:5432/database',
    ],
    [
      'DATABASE_URL',
      'localhost:5432',
      'it must look like postgres://user:password@host:5432/database',
    ],
    [
      'DATABASE_URL',
      'postgres://a@one,two:99999/c',
      '"two:99999" in its list of hosts is not a host, with or without a port',
    ],
    [
      'POSTHORN_SMTP_URL',
      'http://mail',
      'it must look like smtp://user:password@host:587, or smtps://host',
    ],
    [
      'POSTHORN_MAIL_FROM',
      'me',
      '"me" is not an address, such as posthorn@example.com or Posthorn <posthorn@example.com>',
    ],
    [
      'OTEL_EXPORTER_OTLP_ENDPOINT',
      'localhost:4317',
      'it is not the URL of a collector, such as http://127.0.0.1:4318; /v1/traces is added to its path',
    ],
    ['POSTHORN_ROLE', 'wroker', '"wroker" is none of all, api, worker; did you mean worker?'],
    ['POSTHORN_ROLE', 'API', '"API" is none of all, api, worker; did you mean api?'],
    ['POSTHORN_ROLE', 'sender', '"sender" is none of all, api, worker'],
    [
      'POSTHORN_RETRY_SCHEDULE',
      '5s,soon',
      '"soon" is not a duration; write a number and a unit, such as 15s, 5m or 2h',
    ],
    ['POSTHORN_RETRY_SCHEDULE', '5s,5000d', 'a delay is longer than 365d'],
    ['POSTHORN_DELIVERY_TIMEOUT', '99ms', '"99ms" is outside 100ms to 5m'],
    ['POSTHORN_DELIVERY_TIMEOUT', '301s', '"301s" is outside 100ms to 5m'],
    [
      'POSTHORN_DELIVERY_TIMEOUT',
      '15',
      '"15" is not a duration; write a number and a unit, such as 15s, 5m or 2h',
    ],
    [
      'POSTHORN_ALLOW_NETWORKS',
      '127.0.0.0/8,localhost',
      '"localhost" is not a network; write 10.0.0.0/8 or fd00::/8',
    ],
    [
      'POSTHORN_DENY_NETWORKS',
      'us-east-1',
      '"us-east-1" is not a network; write 10.0.0.0/8 or fd00::/8',
    ],
    ['POSTHORN_MAX_BODY', '0', '"0" is outside 1B to 64MiB'],
    ['POSTHORN_MAX_BODY', '65MiB', '"65MiB" is outside 1B to 64MiB'],
    ['POSTHORN_MAX_BODY', 'big', '"big" is not a size; write 512KiB, 1MiB or a number of bytes'],
    ['POSTHORN_CIRCUIT', 'failures=0', 'failures must be a whole number from 1 to 1000'],
    ['POSTHORN_DISABLE_AFTER', '366d', '"366d" is outside 1s to 365d, or off'],
    [
      'POSTHORN_DISABLE_AFTER',
      'never',
      '"never" is not a duration; write a number and a unit, such as 15s, 5m or 2h, or off',
    ],
    ['POSTHORN_RETENTION', '23h', '"23h" is outside 1d to 3650d'],
    ['POSTHORN_RETENTION', '3651d', '"3651d" is outside 1d to 3650d'],
    ['POSTHORN_ADMIN_KEY', 'only-15-letters', 'it must have at least 16 characters'],
    ['POSTHORN_ADMIN_KEY', `  ${'x'.repeat(15)}  `, 'it must have at least 16 characters'],
    ['POSTHORN_ADMIN_KEY', 'é'.repeat(20), 'it may have only printable ASCII characters'],
    ['POSTHORN_ADMIN_KEY', `${KEY}\n${KEY}`, 'it may have only printable ASCII characters'],
    ['POSTHORN_AUTH', 'no', '"no" is none of on, off'],
    ['POSTHORN_AUTH', 'of', '"of" is none of on, off'],
    ['POSTHORN_RATE_LIMIT', '100', '"100" is not off, and not a rate such as 100/1s or 6000/1m'],
    ['POSTHORN_RATE_LIMIT', '0/1s', '"0/1s" is not off, and not a rate such as 100/1s or 6000/1m'],
    ['POSTHORN_RATE_LIMIT', '5/2d', '"5/2d" has a time outside of 1s to 1h'],
    ['POSTHORN_SHUTDOWN_GRACE', '11m', '"11m" is outside 0s to 10m'],
    ['POSTHORN_SHUTDOWN_DELAY', '6m', '"6m" is outside 0s to 5m'],
    ['POSTHORN_PROCESSES', '0', '"0" is not auto, and not a whole number from 1 to 64'],
    ['POSTHORN_PROCESSES', 'many', '"many" is not auto, and not a whole number from 1 to 64'],
    ['POSTHORN_MAX_IN_FLIGHT', '24', '"24" is not a whole number from 25 to 20000'],
    ['POSTHORN_MAX_IN_FLIGHT', '20001', '"20001" is not a whole number from 25 to 20000'],
    ['LOG_LEVEL', 'warning', '"warning" is none of trace, debug, info, warn, error, fatal, silent'],
  ];
  for (const [name, text, why] of cases)
    t.equal(refusal(t, { [name]: text }), `Bad setting: ${name}: ${why}`, `${name}=${text}`);
  const withKey = { POSTHORN_ADMIN_KEY: KEY, POSTHORN_AUTH: 'maybe' };
  t.match(refusal(t, withKey), /^Bad setting: POSTHORN_AUTH: /, 'also one that would not matter');
});

t.test('a sampler of traces that does not exist is refused with those that do', async (t) => {
  const traced = { [OTLP]: 'http://a:4318' };
  t.equal(
    refusal(t, { ...traced, OTEL_TRACES_SAMPLER: 'always' }),
    'Bad setting: OTEL_TRACES_SAMPLER: "always" is none of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio',
  );
  for (const share of ['10%', '2', '-1'])
    t.equal(
      refusal(t, {
        ...traced,
        OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
        OTEL_TRACES_SAMPLER_ARG: share,
      }),
      `Bad setting: OTEL_TRACES_SAMPLER_ARG: "${share}" is no share of traces from 0 to 1, such as 0.1`,
    );
  load(t, { OTEL_TRACES_SAMPLER: 'always' });
});

t.test('failed deliveries cannot be kept for less than the other history', async (t) => {
  t.match(
    refusal(t, { POSTHORN_RETENTION: '10d', POSTHORN_FAILED_RETENTION: '9d' }),
    /^Bad setting: POSTHORN_FAILED_RETENTION is shorter than POSTHORN_RETENTION/,
  );
});

t.test('allowed hosts are names without ports', async (t) => {
  const { allowHosts } = load(t, { POSTHORN_ALLOW_HOSTS: ' App, hooks.internal,' });
  t.strictSame([...(allowHosts ?? [])], ['app', 'hooks.internal']);
  for (const wrong of ['app:5000', 'http://app', '*.internal', 'a b', '[::1]', 'a..b', '-a'])
    t.equal(
      refusal(t, { POSTHORN_ALLOW_HOSTS: `app,${wrong}` }),
      `Bad setting: POSTHORN_ALLOW_HOSTS: "${wrong}" is not the name of a host; write names without ports, such as posthorn,hooks.internal`,
    );
});

t.test('the public catalogue is off, or has patterns of event types', async (t) => {
  t.equal(load(t).publicCatalogue, undefined);
  const { publicCatalogue } = load(t, { POSTHORN_PUBLIC_CATALOGUE: 'order.*, invoice.paid' });
  t.strictSame(publicCatalogue, ['order.*', 'invoice.paid']);
  for (const wrong of ['order.', '*.created', 'a b', 'order.*.x', '', 'x'.repeat(131)])
    t.match(
      refusal(t, { POSTHORN_PUBLIC_CATALOGUE: `a,${wrong}` }),
      `Bad setting: POSTHORN_PUBLIC_CATALOGUE: "${wrong}" is not an event type; write`,
    );
});

t.test('a HOST on a network needs a key, unless POSTHORN_AUTH is off', async (t) => {
  for (const host of ['0.0.0.0', '::', '192.168.1.7', 'api.example.com', '::ffff:127.0.0.1']) {
    const message = refusal(t, { HOST: host });
    t.match(message, `Bad setting: HOST=${host} would serve the API to the network without a key`);
    t.match(message, /set POSTHORN_ADMIN_KEY, or POSTHORN_AUTH=off/);
  }
  for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost']) load(t, { HOST: host });
  for (const role of ['all', 'api'])
    t.match(refusal(t, { HOST: '::', POSTHORN_ROLE: role }), /without a key/);
  t.equal(
    refusal(t, { HOST: '::', POSTHORN_ADMIN_KEY: 'short' }),
    'Bad setting: POSTHORN_ADMIN_KEY: it must have at least 16 characters',
    'a key that is too short is not told to be none',
  );
});

t.test('only addresses and names of this machine are loopback', async (t) => {
  for (const host of ['127.0.0.1', '127.255.255.254', '::1', 'localhost']) t.ok(isLoopback(host));
  for (const host of ['127.example.com', '127.1', '128.0.0.1', '::', '0.0.0.0', '', 'localhost.x'])
    t.notOk(isLoopback(host), host);
});

t.test('an unknown setting is refused with the name that was probably meant', async (t) => {
  const cases: [name: string, meant: string | undefined][] = [
    ['POSTHORN_MAX_BDY', 'POSTHORN_MAX_BODY'],
    ['POSTHORN_MAXBODY', 'POSTHORN_MAX_BODY'],
    ['POSTHORN_RETRY_SHEDULE', 'POSTHORN_RETRY_SCHEDULE'],
    ['POSTHORN_ALLOWED_NETWORKS', 'POSTHORN_ALLOW_NETWORKS'],
    ['POSTHORN_ADMINKEY', 'POSTHORN_ADMIN_KEY'],
    ['POSTHORN_ROLES', 'POSTHORN_ROLE'],
    // These have no prefix, which is easily forgotten.
    ['POSTHORN_PORT', 'PORT'],
    ['POSTHORN_HOST', 'HOST'],
    ['POSTHORN_DATABASE_URL', 'DATABASE_URL'],
    ['POSTHORN_LOG_LEVEL', 'LOG_LEVEL'],
    ['POSTHORN_XYZ', undefined],
    ['POSTHORN_CONCURRENCY', undefined],
  ];
  for (const [name, meant] of cases) {
    const suggestion = meant === undefined ? '' : `; did you mean ${meant}?`;
    t.equal(refusal(t, { [name]: 'x' }), `Bad setting: ${name} is not a setting${suggestion}`);
  }
});

t.test('names without the prefix POSTHORN_ are ignored', async (t) => {
  load(t, {
    PATH: '/bin',
    POSTGRES_PASSWORD: 'x',
    POSTHORN_TEST_DATABASE_URL: 'x',
    posthorn_a: '',
  });
});

t.test('all wrong settings are reported together', async (t) => {
  const message = refusal(t, {
    PORT: 'http',
    HOST: '0.0.0.0',
    POSTHORN_ROLE: 'apii',
    POSTHORN_RETENTION: '1h',
    POSTHORN_MAX_BDY: '1MiB',
    POSTHORN_AUTH: 'yes',
    LOG_LEVEL: 'info',
  });
  const [title, ...lines] = message.split('\n');
  t.equal(title, 'Bad settings:');
  t.strictSame(lines.toSorted(), [
    '  - PORT: "http" is not a whole number from 0 to 65535',
    '  - POSTHORN_AUTH: "yes" is none of on, off',
    '  - POSTHORN_MAX_BDY is not a setting; did you mean POSTHORN_MAX_BODY?',
    '  - POSTHORN_RETENTION: "1h" is outside 1d to 3650d',
    '  - POSTHORN_ROLE: "apii" is none of all, api, worker; did you mean api?',
  ]);
});

t.test('an error never shows a key or the password of the database', async (t) => {
  const message = refusal(t, {
    POSTHORN_ADMIN_KEY: 'hush',
    DATABASE_URL: 'mysql://user:hush-hush@host/database',
  });
  t.notMatch(message, /hush/);
});

t.test('an empty or blank variable counts as unset', async (t) => {
  const dir = t.testdir();
  // Those hold functions, which are equal to no others.
  const plain = ({ allowNetworks, denyNetworks, allowPorts, ...settings }: Settings) => settings;
  const unset = plain(loadSettings({}, dir));
  for (const blank of ['', ' ', '\t\n']) {
    const env = Object.fromEntries(Object.keys(SETTINGS).map((name) => [name, blank]));
    const settings = loadSettings(env, dir);
    t.strictSame(plain(settings), unset, JSON.stringify(blank));
    t.notOk(settings.allowNetworks.contains('127.0.0.1'));
    t.equal(settings.allowPorts.text, '80, 443');
  }
});

t.test('a setting that the environment does not have is read from .env', async (t) => {
  const dir = t.testdir({
    '.env': [
      '# for development',
      'PORT=6000',
      'LOG_LEVEL="debug"',
      "POSTHORN_ADMIN_KEY='key with # and blanks'",
      'POSTHORN_RETRY_SCHEDULE=1s,2s # quick',
      'POSTHORN_MAX_BODY=',
      'export POSTHORN_ROLE=api',
    ].join('\n'),
  });
  t.match(loadSettings({ PORT: '7000' }, dir), {
    port: 7000,
    logLevel: 'debug',
    adminKey: 'key with # and blanks',
    retrySchedule: [1000, 2000],
    maxBodyBytes: 1_048_576,
    role: 'api',
  });
  t.equal(loadSettings({ PORT: '' }, dir).port, 6000, 'an empty variable leaves it open');
});

t.test('wrong settings in .env are reported like others', async (t) => {
  const dir = t.testdir({ '.env': 'PORT=http\nPOSTHORN_MAX_BDY=1\n' });
  const message = refusal(t, { LOG_LEVEL: 'loud' }, dir);
  for (const part of [/PORT: "http"/, /POSTHORN_MAX_BDY is not/, /LOG_LEVEL: "loud"/])
    t.match(message, part);
});
