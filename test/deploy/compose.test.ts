import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { Ajv } from 'ajv';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { SETTINGS } from '../../src/config/known-settings.ts';
import { loadSettings } from '../../src/config/settings.ts';
import { parseDuration } from '../../src/lib/duration.ts';

interface Healthcheck {
  readonly test: string[];
  readonly interval: string;
  readonly timeout: string;
  readonly start_period: string;
}

interface Service {
  readonly build?: string;
  readonly cap_drop?: string[];
  readonly depends_on?: Record<string, { condition: string }>;
  readonly environment: string[];
  readonly healthcheck: Healthcheck;
  readonly image?: string;
  readonly ports?: string[];
  readonly privileged?: boolean;
  readonly read_only?: boolean;
  readonly restart: string;
  readonly security_opt?: string[];
  readonly stop_grace_period: string;
  readonly tmpfs?: string[];
  readonly user?: string;
  readonly volumes?: string[];
}

interface Compose {
  readonly services: { readonly app: Service; readonly postgres: Service };
  readonly volumes: Record<string, unknown>;
}

const TEXT = readFileSync(join(import.meta.dirname, '..', '..', 'docker-compose.yml'), 'utf8');
const { services, volumes } = parse(TEXT) as Compose;
const { app, postgres } = services;
const accepted = compileSpecification();

t.test('the compose file is one that the Compose specification allows', async (t) => {
  t.ok(accepted(parse(TEXT)), JSON.stringify(accepted.errors, null, 2));
});

t.test('a mistake in the compose file would be noticed', async (t) => {
  const mistakes: [what: string, right: string, wrong: string][] = [
    ['a misspelt key', 'read_only:', 'read_onyl:'],
    ['a condition that does not exist', 'service_healthy', 'service_ready'],
    ['a number where a duration belongs', 'interval: 5s', 'interval: 5'],
    ['a list where a mapping belongs', 'volumes:\n  postgres:', 'volumes:\n  - postgres'],
  ];
  for (const [what, right, wrong] of mistakes) {
    t.ok(TEXT.includes(right), `there is "${right}" to get wrong`);
    t.notOk(accepted(parse(TEXT.replace(right, wrong))), what);
  }
});

t.test('durations in the compose file have units', async (t) => {
  for (const { healthcheck, stop_grace_period } of [app, postgres]) {
    const { interval, timeout, start_period } = healthcheck;
    for (const text of [interval, timeout, start_period, stop_grace_period])
      t.doesNotThrow(() => parseDuration(text), text);
  }
});

t.test('the compose file runs only the service and its Postgres', async (t) => {
  t.strictSame(Object.keys(services).sort(), ['app', 'postgres']);
  t.equal(app.build, '.');
  t.equal(postgres.image, 'postgres:18');
});

t.test('the service waits until Postgres takes connections', async (t) => {
  t.equal(app.depends_on?.postgres?.condition, 'service_healthy');
  t.match(postgres.healthcheck.test, ['CMD', 'pg_isready'], 'which is what it is asked');
  // While the image fills a new volume, a server runs that is stopped again; it has no TCP port.
  t.ok(postgres.healthcheck.test.includes('--host=127.0.0.1'), 'by TCP');
});

t.test('the service is healthy if and only if /readyz says so', async (t) => {
  const paths: string[] = [];
  let status = 200;
  const server = createServer((request, response) => {
    paths.push(request.url ?? '');
    response.writeHead(status).end();
  }).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const [kind, program, flag, script = ''] = app.healthcheck.test;
  t.strictSame([kind, program, flag], ['CMD', 'node', '-e']);
  const check = () => exitCode(script.replace('127.0.0.1:5000', `127.0.0.1:${port}`));

  t.equal(await check(), 0);
  t.strictSame(paths, ['/readyz']);
  status = 503;
  t.equal(await check(), 1);
  server.close();
  server.closeAllConnections();
  t.equal(await check(), 1);
});

t.test('ports are published to this machine only', async (t) => {
  t.strictSame(app.ports?.map(interpolated({})), ['127.0.0.1:5000:5000']);
  t.strictSame(app.ports?.map(interpolated({ PORT: '8080' })), ['127.0.0.1:8080:5000']);
  t.equal(postgres.ports, undefined);
});

t.test('the container has a read-only file system and no capabilities', async (t) => {
  t.equal(app.read_only, true);
  t.strictSame(app.tmpfs, ['/tmp']);
  t.equal(app.volumes, undefined);
  t.strictSame(app.cap_drop, ['ALL']);
  t.equal(app.privileged, undefined);
  t.equal(app.user, undefined, "the image's own user, who is not root");
  for (const { security_opt } of [app, postgres])
    t.strictSame(security_opt, ['no-new-privileges:true']);
});

t.test('the data outlive the containers', async (t) => {
  t.strictSame(Object.keys(volumes), ['postgres']);
  t.strictSame(postgres.volumes, ['postgres:/var/lib/postgresql']);
});

t.test('both containers start again after a crash and a reboot', async (t) => {
  for (const { restart } of [app, postgres]) t.equal(restart, 'unless-stopped');
});

t.test('a stop leaves deliveries in flight their grace period', async (t) => {
  const promisedMs = parseDuration(SETTINGS.POSTHORN_SHUTDOWN_GRACE.fallback ?? '');
  t.ok(parseDuration(app.stop_grace_period) >= promisedMs + 5_000);
});

t.test('without a key the service starts, open to this machine', async (t) => {
  const settings = settingsInside(t, {});
  t.equal(settings.adminKey, undefined);
  t.equal(settings.authRequired, false);
  t.equal(settings.host, '0.0.0.0');
});

t.test('a key that is set is required, whatever POSTHORN_AUTH says', async (t) => {
  for (const auth of [{}, { POSTHORN_AUTH: 'off' }, { POSTHORN_AUTH: 'on' }]) {
    const settings = settingsInside(t, { POSTHORN_ADMIN_KEY: 'sixteen-letters-', ...auth });
    t.equal(settings.adminKey, 'sixteen-letters-');
    t.equal(settings.authRequired, true);
  }
});

t.test('POSTHORN_AUTH=on without a key is an error', async (t) => {
  t.throws(() => settingsInside(t, { POSTHORN_AUTH: 'on' }), /set POSTHORN_ADMIN_KEY/);
});

t.test('every setting reaches the service, except those of the container', async (t) => {
  const decided = ['PORT', 'HOST', 'DATABASE_URL', 'POSTHORN_DATA_DIR'];
  for (const name of Object.keys(SETTINGS).filter((name) => !decided.includes(name))) {
    // With a key, POSTHORN_AUTH has nothing to say, and without one the key has none.
    t.equal(environment(app, { [name]: 'given' })[name], 'given', name);
  }
  t.match(settingsInside(t, { POSTHORN_RETENTION: '7d' }), { retentionMs: 7 * 86_400_000 });
});

t.test('the password is the same on both sides, and may hold any character', async (t) => {
  for (const env of [{}, { POSTGRES_PASSWORD: 'p@ss/w:rd?#' }]) {
    const { PGPASSWORD, DATABASE_URL } = environment(app, env);
    const { POSTGRES_PASSWORD, POSTGRES_USER } = environment(postgres, env);
    t.equal(PGPASSWORD, env.POSTGRES_PASSWORD ?? 'posthorn');
    t.equal(PGPASSWORD, POSTGRES_PASSWORD);
    t.match(new URL(DATABASE_URL ?? ''), {
      hostname: 'postgres',
      username: POSTGRES_USER,
      password: '',
    });
  }
});

/** A judge of parsed compose files, from the specification's own schema, which dclint ships. */
function compileSpecification() {
  const dclint = dirname(createRequire(import.meta.url).resolve('dclint/package.json'));
  const { $schema, ...schema } = JSON.parse(
    readFileSync(join(dclint, 'schemas', 'compose.schema.json'), 'utf8'),
  ) as { $schema: string };
  // Ajv knows the draft by its http address only; draft 7 is also its default.
  if (!/draft-07/.test($schema)) throw new Error(`The schema is of another draft: ${$schema}`);
  return new Ajv({ strict: false, allErrors: true }).compile(schema);
}

/** What Compose makes of `${NAME:-otherwise}` and `${NAME:+instead}`, one inside another too. */
function interpolated(env: Record<string, string>): (text: string) => string {
  return (text) => {
    for (let before = ''; before !== text; ) {
      before = text;
      text = text.replace(
        /\$\{(\w+):([-+])([^${}]*)\}/g,
        (_, name: string, operator: string, word: string) => {
          const value = env[name] ?? '';
          if (operator === '-') return value === '' ? word : value;
          return value === '' ? '' : word;
        },
      );
    }
    return text;
  };
}

/** What a container gets as its environment, when `env` is that of `docker compose`. */
function environment(
  service: Service,
  env: Record<string, string>,
): Record<string, string | undefined> {
  return Object.fromEntries(
    service.environment.map(interpolated(env)).map((entry) => {
      const [name = '', ...value] = entry.split('=');
      // A name alone takes the value over.
      return [name, value.length === 0 ? env[name] : value.join('=')];
    }),
  );
}

/** The settings that the service reads inside its container. */
function settingsInside(t: Test, env: Record<string, string>) {
  return loadSettings({ HOST: '0.0.0.0', ...environment(app, env) }, t.testdir());
}

async function exitCode(script: string): Promise<unknown> {
  const [code] = await once(spawn(process.execPath, ['-e', script], { stdio: 'ignore' }), 'exit');
  return code;
}
