import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { SETTINGS } from '../../../src/config/known-settings.ts';
import { loadSettings } from '../../../src/config/settings.ts';
import { parseDuration } from '../../../src/lib/duration.ts';
import { startCli } from '../../helpers/cli.ts';
import { createTestDatabase } from '../../helpers/database.ts';
import { whyNo } from '../tools.ts';
import { CHART, type EnvVar, podOf, type Rendered, render, type Values } from './render.ts';

const skip = await whyNo('helm');

/** Settings that the chart decides, or that other values decide. */
const DECIDED = [
  'PORT',
  'POSTHORN_ROLE',
  'POSTHORN_DATA_DIR',
  'POSTHORN_SHUTDOWN_GRACE',
  'POSTHORN_SHUTDOWN_DELAY',
];

/** A value of each setting that may be in `settings`, as people write it, and as YAML reads it. */
const SETTINGS_GIVEN: Values = {
  HOST: '::',
  POSTHORN_HOME: 'db1',
  POSTHORN_RETRY_SCHEDULE: 'exponential(base=10s,factor=2,max=1h,attempts=8)',
  POSTHORN_DELIVERY_TIMEOUT: '1.5m',
  POSTHORN_CIRCUIT: false,
  POSTHORN_DISABLE_AFTER: '10d',
  POSTHORN_ALLOW_NETWORKS: '10.20.0.0/16, 192.168.7.1,fd00:1::/32',
  POSTHORN_DENY_NETWORKS: '8.8.8.0/24,2606:4700::/32,fd00:9::1',
  POSTHORN_ALLOW_PORTS: '8443, 9000-9100',
  POSTHORN_MAX_BODY: '2MiB',
  POSTHORN_RETENTION: '90d',
  POSTHORN_FAILED_RETENTION: '365d',
  POSTHORN_PAYLOAD_RETENTION: '7d',
  POSTHORN_ARCHIVE_DIR: '/archive',
  POSTHORN_AUTH: true,
  POSTHORN_ALLOW_HOSTS: 'hooks.internal',
  POSTHORN_PUBLIC_URL: 'https://hooks.example.com',
  POSTHORN_PUBLIC_CATALOGUE: 'order.*',
  POSTHORN_RATE_LIMIT: '100/1s',
  POSTHORN_TENANT_RATE_LIMIT: false,
  POSTHORN_PROCESSES: 2,
  POSTHORN_MAX_IN_FLIGHT: 20000,
  POSTHORN_METRICS_SUBSCRIPTIONS: 100,
  LOG_LEVEL: 'debug',
  POSTHORN_MAIL_FROM: 'Posthorn <posthorn@example.com>',
  OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318',
  OTEL_TRACES_SAMPLER_ARG: 0.25,
};

/** A value of each secret. */
const SECRETS: Record<string, string> = {
  DATABASE_URL: 'postgres://u:p@db/posthorn',
  POSTHORN_REPORTING_URL: 'postgres://u:p@replica/posthorn',
  POSTHORN_DIRECTORY_URL: 'postgres://u:p@directory/posthorn',
  POSTHORN_ADMIN_KEY: 'sixteen-letters-',
  POSTHORN_ENCRYPTION_KEY: 'ab'.repeat(32),
  POSTHORN_EGRESS_PROXY: 'http://u:p@proxy:3128',
  POSTHORN_SMTP_URL: 'smtp://u:p@mail:587',
  OTEL_EXPORTER_OTLP_HEADERS: 'key=value',
  PGPASSWORD: 'p',
};

/** The environment of a container, with the values of the Secrets. */
function environment(env: readonly EnvVar[], secrets: Record<string, string> = SECRETS) {
  return Object.fromEntries(
    env.map(({ name, value }) => [name, value ?? (secrets[name] as string)]),
  );
}

t.test('the chart knows the settings of the program, each in one place', async (t) => {
  const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8'));
  const { settings, secrets } = schema.properties;
  const names = (of: { properties: object }) => Object.keys(of.properties);
  const both = [...names(settings), ...names(secrets)].filter((name) => name in SETTINGS);
  t.strictSame([...both, ...DECIDED].sort(), Object.keys(SETTINGS).sort());
  for (const [name, { show }] of Object.entries(SETTINGS)) {
    // Text that is not shown as it is may have credentials. Those of a collector are in its headers.
    const isSecret = show('postgres://u:canary@host/x')?.includes('canary') !== true;
    if (name === 'OTEL_EXPORTER_OTLP_ENDPOINT' || DECIDED.includes(name)) continue;
    t.equal(names(secrets).includes(name), isSecret, name);
  }
  t.strictSame(Object.keys(SECRETS).sort(), names(secrets).sort(), 'each secret is tried');
});

t.test('what each pod gets is what the program reads', { skip }, async (t) => {
  const refs = Object.keys(SECRETS).map((name) => [name, { name: 'posthorn' }]);
  const rendered = await render({ settings: SETTINGS_GIVEN, secrets: Object.fromEntries(refs) });
  for (const role of ['api', 'worker']) {
    const env = rendered.env('Deployment', role);
    const names = env.map(({ name }) => name);
    t.equal(new Set(names).size, names.length, 'no variable is there twice');
    for (const name of names)
      t.ok(name in SETTINGS || /^(OTEL_|PG)/.test(name), `${name} is a setting`);
    const settings = loadSettings(environment(env), t.testdir());
    t.match(settings, {
      role,
      port: 5000,
      circuit: null,
      maxInFlight: 20_000,
      processes: 2,
      retentionMs: 90 * 86_400_000,
      tenantRateLimit: undefined,
      authRequired: role === 'api',
    });
    t.equal(settings.allowHosts?.has('hooks.internal'), role === 'api' ? true : undefined);
    t.equal(environment(env).OTEL_TRACES_SAMPLER_ARG, '0.25');
    t.ok(fitsGrace(rendered, role, settings.shutdownDelayMs + settings.shutdownGraceMs));
  }
  t.match(
    rendered.notes,
    /do not let pods reach the OpenTelemetry collector, the mail server, the egress proxy/,
  );
});

/** Kubernetes kills no pod that may still record results. */
function fitsGrace(rendered: Rendered, role: string, neededMs: number): boolean {
  const { terminationGracePeriodSeconds } = podOf(rendered.find('Deployment', role));
  return terminationGracePeriodSeconds * 1000 >= neededMs + 5_000;
}

t.test(
  'a default that the chart sets is not less than that of the program',
  { skip },
  async (t) => {
    const env = environment((await render()).env('Deployment', 'worker'));
    const promised = parseDuration(SETTINGS.POSTHORN_SHUTDOWN_GRACE.fallback ?? '');
    t.ok(parseDuration(env.POSTHORN_SHUTDOWN_GRACE ?? '') >= promised);
  },
);

t.test(
  'with the environment of the chart, the Job migrates, and both roles become ready',
  { skip },
  async (t) => {
    const DATABASE_URL = await createTestDatabase(t, { migrated: false });
    const rendered = await render();
    const secrets = { ...SECRETS, DATABASE_URL };
    // What the image sets.
    const image = { HOST: '0.0.0.0', NODE_ENV: 'production' };
    const start = async (kind: 'Job' | 'Deployment', suffix: string) => {
      const [container] = podOf(rendered.find(kind, suffix)).containers;
      const env = environment(container.env, secrets);
      return await startCli(t, container.args, { ...image, ...env, PORT: '0' });
    };
    const job = await start('Job', 'migrate');
    t.equal(await job.exited, 0, job.output.stderr);
    t.match(job.output.stdout, /applied 0001/);
    for (const role of ['api', 'worker']) {
      const process = await start('Deployment', role);
      await becomesReady(t, await process.url());
      t.notMatch(process.output.stderr, /"msg":"migrated"/, 'nothing is left to migrate');
      process.kill('SIGTERM');
    }
  },
);

async function becomesReady(t: Test, url: string): Promise<void> {
  const { status } = await fetch(`${url.replace('0.0.0.0', '127.0.0.1')}/readyz`);
  t.equal(status, 200);
}
