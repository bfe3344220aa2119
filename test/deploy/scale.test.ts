import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadSettings } from '../../src/config/settings.ts';
import { parseDuration } from '../../src/lib/duration.ts';
import { balancerConfiguration } from '../chaos/lib/balancer.ts';
import { hasPrograms } from '../helpers/debian-packages.ts';
import { run } from '../helpers/packages.ts';
import { installPrograms, whyNo } from './tools.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const HAPROXY = '/usr/sbin/haproxy';
const ANALYZE = '/usr/bin/systemd-analyze';
const skip = await whyNo('compose');

interface Service {
  readonly build?: { readonly context: string };
  readonly command: string[] | null;
  readonly depends_on?: Record<string, { condition: string }>;
  readonly deploy?: { readonly replicas: number };
  readonly environment: Record<string, string | null>;
  readonly healthcheck?: { readonly disable?: boolean; readonly test?: string[] };
  readonly ports?: { readonly host_ip: string; readonly published: string; target: number }[];
  readonly restart: string;
  readonly read_only?: boolean;
  readonly stop_grace_period?: string;
  readonly volumes?: { readonly source: string; readonly target: string }[];
}

type Services = Readonly<Record<string, Service>>;

/** A Compose file with all that it extends, as Docker Compose reads it. */
async function resolved(file: string, env: Record<string, string> = {}): Promise<Services> {
  const program = join(await installPrograms('compose'), 'compose');
  return JSON.parse(await run([program, join(ROOT, file)], ROOT, env)).services;
}

t.test(
  'Compose reads the file with a balancer, two APIs, workers and one migration',
  { skip },
  async (t) => {
    const services = await resolved('docker-compose.scale.yml');
    t.strictSame(Object.keys(services).sort(), [
      'api',
      'balancer',
      'migrate',
      'postgres',
      'worker',
    ]);
    const { balancer, migrate, api, worker } = services as Record<string, Service>;
    t.equal(api?.deploy?.replicas, 2);
    t.ok((worker?.deploy?.replicas ?? 0) > 1);
    t.strictSame(migrate?.command, ['migrate']);
    t.equal(migrate?.restart, 'no');
    t.strictSame(migrate?.healthcheck, { disable: true });
    for (const one of [api, worker]) {
      t.equal(one?.depends_on?.migrate?.condition, 'service_completed_successfully');
      t.equal(one?.depends_on?.postgres?.condition, 'service_healthy');
      t.match(one?.healthcheck?.test?.join(' '), /readyz/);
      t.equal(one?.read_only, true);
    }
    t.match(balancer?.ports, [{ host_ip: '127.0.0.1', published: '5000', target: 5000 }]);
    for (const [name, { ports }] of Object.entries(services))
      t.equal(ports === undefined || ports === null, name !== 'balancer', `ports of ${name}`);
  },
);

t.test(
  'each container gets the settings of docker-compose.yml, and its role',
  { skip },
  async (t) => {
    const given = { POSTHORN_RETENTION: '7d', POSTHORN_ADMIN_KEY: 'sixteen-letters-' };
    const { app } = await resolved('docker-compose.yml', given);
    const services = await resolved('docker-compose.scale.yml', given);
    for (const [name, role] of [
      ['api', 'api'],
      ['worker', 'worker'],
    ] as const) {
      const { environment = {}, stop_grace_period = '' } = services[name] ?? {};
      t.strictSame(
        Object.keys(environment).sort(),
        Object.keys(app?.environment ?? {}).sort(),
        name,
      );
      const set = Object.fromEntries(
        Object.entries(environment).map(([key, value]) => [key, value ?? undefined]),
      );
      const settings = loadSettings({ HOST: '0.0.0.0', ...set }, t.testdir());
      t.match(settings, { role, retentionMs: 7 * 86_400_000, authRequired: true });
      const neededMs = settings.shutdownDelayMs + settings.shutdownGraceMs;
      t.ok(parseDuration(stop_grace_period) >= neededMs + 5_000, `${name} has time to stop`);
    }
    // HAProxy asks every second, and two answers decide.
    const delayMs = parseDuration(services.api?.environment.POSTHORN_SHUTDOWN_DELAY ?? '');
    t.ok(delayMs >= 2 * 2_000, 'an API takes requests until HAProxy has noticed');
  },
);

t.test(
  'HAProxy takes its configuration',
  { skip: hasPrograms([HAPROXY], ['haproxy']) ? false : 'HAProxy is not here' },
  async (t) => {
    const file = join(ROOT, 'deploy', 'haproxy', 'haproxy.cfg');
    await t.resolves(run([HAPROXY, '-c', '-f', file], ROOT));
    // With the servers of a host, as its comment says.
    const text = balancerConfiguration({
      listen: '127.0.0.1:5000',
      servers: ['127.0.0.1:5001', '127.0.0.1:5002'],
    });
    const own = join(t.testdir({ 'haproxy.cfg': text }), 'haproxy.cfg');
    await t.resolves(run([HAPROXY, '-c', '-f', own], ROOT));
    const wrong = join(
      t.testdir({ 'haproxy.cfg': text.replace('httpchk', 'htpchk') }),
      'haproxy.cfg',
    );
    await t.rejects(run([HAPROXY, '-c', '-f', wrong], ROOT), /htpchk/);
  },
);

t.test(
  'systemd takes the units, and runs each role with little of the host',
  { skip: hasPrograms([ANALYZE], ['systemd']) ? false : 'systemd-analyze is not here' },
  async (t) => {
    const units = join(ROOT, 'deploy', 'systemd');
    const folder = t.testdir();
    copyFileSync(join(units, 'posthorn.service'), join(folder, 'posthorn.service'));
    for (const role of ['api', 'worker']) {
      const unit = join(folder, `posthorn@${role}.service`);
      copyFileSync(join(units, 'posthorn@.service'), unit);
      t.equal((await run([ANALYZE, 'verify', '--man=no', unit], ROOT)).trim(), '');
    }
    await t.resolves(run([ANALYZE, 'verify', '--man=no', join(folder, 'posthorn.service')], ROOT));
    const limits = (name: string) =>
      readFileSync(join(units, name), 'utf8').match(/^(?:Protect|Restrict|Private|NoNew|Cap).*$/gm);
    t.strictSame(limits('posthorn@.service'), limits('posthorn.service'), 'both are limited alike');
  },
);
