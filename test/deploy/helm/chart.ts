import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { VERSION } from '../../../src/version.ts';
import { run } from '../../helpers/packages.ts';
import { installPrograms, installSchemas, KUBERNETES, whyNo, whyNoSchemas } from '../tools.ts';
import { RENDERINGS, valuesOf } from './documented-values.ts';
import { CHART, LEAST, type Manifest, podOf, type Rendered, render } from './render.ts';

const skip = await whyNo('helm');
const read = (file: string) => readFileSync(join(CHART, file), 'utf8');

const renderings = new Map<string, Rendered>();
if (skip === false) {
  renderings.set('the least that must be set', await render());
  for (const [name, documented] of Object.entries(RENDERINGS))
    renderings.set(name, await render(valuesOf(documented)));
}
const rendering = (name: string) => renderings.get(name) as Rendered;

/** The paths of values.yaml that have no further paths. */
function leaves(values: unknown, path = ''): string[] {
  if (values === null || typeof values !== 'object' || Array.isArray(values)) return [path];
  const entries = Object.entries(values);
  // A setting of Kubernetes, such as resources, is one value.
  if (entries.length === 0 || path.endsWith('resources')) return [path];
  return entries.flatMap(([name, inner]) => leaves(inner, path === '' ? name : `${path}.${name}`));
}

t.test('the README documents each value, with its default, and each is tried here', async (t) => {
  const defaults = parse(read('values.yaml'));
  const rows = [...read('README.md').matchAll(/^\| `([\w.]+)` \| (?:`(.*?)`|—) \|/gm)];
  const documented = rows.map(([, path = '']) => path);
  t.strictSame(documented, leaves(defaults));
  for (const [, path = '', text] of rows) {
    const real = path.split('.').reduce((at, step) => at[step], defaults);
    if (text === undefined) t.ok(real === '', `${path} has no default`);
    else t.strictSame(parse(text), real, path);
  }
  const tried = Object.values(RENDERINGS).flatMap((values) => values.map(({ path }) => path));
  t.strictSame([...new Set(tried)].sort(), [...documented].sort());
});

t.test('each value changes what it says', { skip }, async (t) => {
  const before = rendering('the least that must be set');
  for (const [name, documented] of Object.entries(RENDERINGS)) {
    const after = rendering(name);
    for (const { path, sees, wants } of documented) {
      t.strictSame(sees(after), wants, `${path}, ${name}`);
      t.notSame(
        attempt(() => sees(before)),
        wants,
        `${path} is not so by default`,
      );
    }
  }
});

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

t.test(
  'what is rendered is as Kubernetes wants it, from the oldest to the newest version',
  { skip: skip || (await whyNoSchemas()) },
  async (t) => {
    const bin = await installPrograms('helm');
    const schemas = await installSchemas();
    const file = join(t.testdir({ 'all.yaml': allText() }), 'all.yaml');
    const judge = (version: string, path: string) =>
      run(
        [
          join(bin, 'kubeconform'),
          ...['-strict', '-summary', '-schema-location', schemas],
          ...['-kubernetes-version', version, '-skip', 'ServiceMonitor', path],
        ],
        CHART,
      );
    for (const version of KUBERNETES)
      t.match(await judge(version, file), /Invalid: 0, Errors: 0, Skipped: 1/, version);
    const broken = rendering('the least that must be set').text.replace('maxSurge', 'maxSruge');
    const wrong = join(t.testdir({ 'wrong.yaml': broken }), 'wrong.yaml');
    await t.rejects(judge(KUBERNETES[0], wrong), /maxSruge/, 'a misspelt field is noticed');
  },
);

const allText = () => [...renderings.values()].map(({ text }) => text).join('\n---\n');

t.test('the ServiceMonitor is as the Prometheus operator wants it', { skip }, async (t) => {
  const monitor = rendering('most values').find('ServiceMonitor');
  const program = join(await installPrograms('helm'), 'service-monitor');
  const judge = (text: string) => {
    const path = join(t.testdir({ 'monitor.json': text }), 'monitor.json');
    return run(['sh', '-c', '"$0" < "$1"', program, path], CHART);
  };
  t.equal((await judge(JSON.stringify(monitor))).trim(), '1');
  await t.rejects(judge(JSON.stringify(monitor).replace('"interval"', '"intervall"')), /intervall/);
});

t.test('the chart is of the version of the program', async (t) => {
  const { appVersion, version } = parse(read('Chart.yaml'));
  t.equal(appVersion, VERSION);
  t.equal(version, VERSION);
});

t.test(
  'no pod runs as root, writes to its image, or has rights in the cluster',
  { skip },
  async (t) => {
    for (const { manifests } of renderings.values()) {
      for (const one of manifests.filter(({ kind }) => kind === 'Deployment' || kind === 'Job')) {
        const name = one.metadata.name;
        const pod = podOf(one);
        t.match(
          pod,
          {
            automountServiceAccountToken: false,
            securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
            volumes: [{ name: 'tmp', emptyDir: { sizeLimit: '64Mi' } }],
          },
          name,
        );
        t.match(
          pod.containers,
          [
            {
              securityContext: {
                runAsNonRoot: true,
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ['ALL'] },
              },
              volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
            },
          ],
          name,
        );
        // A Service called posthorn would set POSTHORN_PORT.
        t.equal(pod.enableServiceLinks, false, name);
      }
    }
  },
);

t.test('liveness does not depend on the database, and readiness does', { skip }, async (t) => {
  for (const role of ['api', 'worker']) {
    const [container] = podOf(
      rendering('the least that must be set').find('Deployment', role),
    ).containers;
    t.equal(container.startupProbe.httpGet.path, '/healthz');
    t.equal(container.livenessProbe.httpGet.path, '/healthz');
    t.equal(container.readinessProbe.httpGet.path, '/readyz');
  }
});

t.test('whatever selects pods, or names a Service, finds them', { skip }, async (t) => {
  for (const [name, { manifests }] of renderings) {
    const of = (kind: string) => manifests.filter((one) => one.kind === kind);
    const pods = manifests
      .filter(({ kind }) => kind === 'Deployment' || kind === 'Job')
      .map((one) => ({ of: one.metadata.name, labels: one.spec.template.metadata.labels }));
    const selected = (labels: Record<string, string>) =>
      pods
        .filter((pod) => Object.entries(labels).every(([key, value]) => pod.labels[key] === value))
        .map((pod) => pod.of.split('-').at(-1));
    const bySuffix = (one: Manifest) => one.metadata.name.split('-').at(-1) as string;
    for (const one of of('Deployment'))
      t.strictSame(selected(one.spec.selector.matchLabels), [bySuffix(one)], name);
    for (const one of [...of('NetworkPolicy'), ...of('PodDisruptionBudget')])
      t.strictSame(
        selected((one.spec.podSelector ?? one.spec.selector).matchLabels),
        [bySuffix(one)],
        `${one.kind}, ${name}`,
      );
    const [api, metrics] = of('Service') as [Manifest, Manifest];
    t.strictSame(selected(api.spec.selector), ['api'], 'the Service leads to the APIs');
    t.strictSame(
      selected(metrics.spec.selector).sort(),
      ['api', 'worker'],
      'all pods have metrics',
    );
    for (const one of of('ServiceMonitor'))
      t.match(metrics.metadata.labels, one.spec.selector.matchLabels, 'Prometheus finds them');
    for (const one of of('HorizontalPodAutoscaler')) {
      const { scaleTargetRef, metrics: measured } = one.spec;
      t.ok(of('Deployment').some(({ metadata }) => metadata.name === scaleTargetRef.name));
      const object = measured[0].object?.describedObject.name;
      t.ok(object === undefined || object === metrics.metadata.name);
    }
    for (const one of of('Ingress'))
      t.equal(one.spec.rules[0].http.paths[0].backend.service.name, api.metadata.name);
  }
});

t.test(
  'the migration comes before the pods, with nothing that the chart makes later',
  { skip },
  async (t) => {
    const { manifests, find } = rendering('the least that must be set');
    const hooks = manifests.filter(({ metadata }) => metadata.annotations?.['helm.sh/hook']);
    t.strictSame(hooks.map(({ kind }) => kind).sort(), ['Job', 'NetworkPolicy']);
    for (const { metadata } of hooks)
      t.equal(metadata.annotations?.['helm.sh/hook'], 'pre-install,pre-upgrade');
    const weight = (kind: string) =>
      Number(hooks.find((one) => one.kind === kind)?.metadata.annotations?.['helm.sh/hook-weight']);
    t.ok(weight('NetworkPolicy') < weight('Job'));
    t.strictSame(podOf(find('Job')).containers[0].args, ['migrate']);
    t.equal(podOf(find('Job')).serviceAccountName, undefined);
  },
);

t.test('the notes say how to reach it, and what is open', { skip }, async (t) => {
  const { notes } = rendering('the least that must be set');
  t.match(notes, /kubectl --namespace hooks port-forward service\/posthorn 5000:80/);
  t.match(
    notes,
    /get secret posthorn --output go-template='\{\{ index \.data "POSTHORN_ADMIN_KEY" \| base64decode \}\}'/,
  );
  t.match(notes, /stored as plain text/);
  t.match(rendering('most values').notes, /https:\/\/hooks\.example\.com\/v1\n/);
  t.notMatch(rendering('most values').notes, /plain text/);
});

t.test(
  'what is wrong is refused before anything is installed, with what would be right',
  { skip },
  async (t) => {
    const refusal = async (values: object, least: object = LEAST) => {
      const error = await render(values as never, least as never).then(
        () => null,
        (one: Error) => one,
      );
      return error?.message ?? 'it was rendered';
    };
    // One run says all that a schema can say.
    const all = await refusal({
      imagee: {},
      image: { repository: 'r.example/p', digest: 'abc', pullPolicy: 'Sometimes' },
      settings: {
        POSTHORN_RETENTION: '30 days',
        POSTHORN_MAX_IN_FLIGHT: 7,
        POSTHORN_RATE_LIMIT: 'fast',
        POSTHORN_ALLOW_NETWORKS: 'private',
        POSTHORN_MAX_BDY: '1MiB',
        DATABASE_URL: 'postgres://u:p@db/posthorn',
        LOG_LEVEL: 'loud',
      },
      secrets: { POSTHORN_ENCRYPTION_KEY: 'literal', POSTHORN_SMTP_URL: { key: 'url' } },
      shutdown: { delaySeconds: '10s' },
      api: { replicas: -1 },
      worker: { autoscaling: { targetAgeSeconds: 0 } },
      ingress: { paths: ['v1'] },
      networkPolicy: { postgres: { port: 70_000 } },
      serviceMonitor: { interval: 'often' },
    });
    for (const [path, says] of [
      ['', /additional properties 'imagee' not allowed/],
      ['/image/digest', /does not match pattern/],
      ['/image/pullPolicy', /must be one of 'Always', 'IfNotPresent', 'Never'/],
      ['/settings/POSTHORN_RETENTION', /'30 days' does not match pattern/],
      ['/settings/POSTHORN_MAX_IN_FLIGHT', /minimum: got 7, want 25/],
      ['/settings/POSTHORN_RATE_LIMIT', /'fast' does not match pattern/],
      ['/settings/POSTHORN_ALLOW_NETWORKS', /'private' does not match pattern/],
      ['/settings', /additional properties .*'POSTHORN_MAX_BDY'/],
      ['/settings', /additional properties .*'DATABASE_URL'/],
      ['/settings/LOG_LEVEL', /must be one of/],
      [
        '/secrets/POSTHORN_ENCRYPTION_KEY',
        /got string, want null or object|got string, want object/,
      ],
      ['/secrets/POSTHORN_SMTP_URL', /missing property 'name'/],
      ['/shutdown/delaySeconds', /got string, want integer/],
      ['/api/replicas', /minimum: got -1, want 0/],
      ['/worker/autoscaling/targetAgeSeconds', /minimum: got 0, want 1/],
      ['/ingress/paths/0', /'v1' does not match pattern/],
      ['/networkPolicy/postgres/port', /maximum: got 70,?000, want 65,?535/],
      ['/serviceMonitor/interval', /'often' does not match pattern/],
    ] as const) {
      const lines = all.split('\n').filter((line) => line.includes(`at '${path}': `));
      t.match(lines.join('\n'), says, path);
    }
    t.match(
      await refusal({}, {}),
      /image\.repository is not set\. No image of Posthorn is published/,
    );
    const { image, secrets } = LEAST;
    t.match(await refusal({}, { image }), /secrets\.DATABASE_URL is not set\. Name the Secret/);
    const noKey = { image, secrets: { DATABASE_URL: secrets.DATABASE_URL } };
    t.match(await refusal({}, noKey), /secrets\.POSTHORN_ADMIN_KEY is not set/);
    // As YAML reads an unquoted off.
    t.match(await refusal({ settings: { POSTHORN_AUTH: false } }, noKey), /^it was rendered/);
    t.match(
      await refusal({ ingress: { enabled: true } }),
      /ingress\.hosts is empty\. Name the hosts/,
    );
    t.match(
      await refusal({ worker: { autoscaling: { enabled: true, minReplicas: 9 } } }),
      /worker\.autoscaling\.maxReplicas is 8, which is less than minReplicas, 9/,
    );
  },
);
