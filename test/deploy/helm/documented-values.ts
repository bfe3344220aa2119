// A test of each value that the chart's README documents: what it is set to, and what must then be in the manifests.
import { podOf, type Rendered } from './render.ts';

export interface DocumentedValue {
  readonly path: string;
  readonly set: unknown;
  /** What it changes, and what that is then. */
  readonly sees: (rendered: Rendered) => unknown;
  readonly wants: unknown;
}

const value = (
  path: string,
  set: unknown,
  sees: (rendered: Rendered) => unknown,
  wants: unknown = set,
): DocumentedValue => ({ path, set, sees, wants });

const container = (rendered: Rendered, role = 'api') =>
  podOf(rendered.find('Deployment', role))?.containers[0];
const pod = (rendered: Rendered, role = 'api') => podOf(rendered.find('Deployment', role));
const policy = (rendered: Rendered, suffix = 'worker') =>
  rendered.find('NetworkPolicy', suffix)?.spec;
const egressTo = (rendered: Rendered, port: number) =>
  policy(rendered).egress.find(({ ports }: { ports: { port: number }[] }) =>
    ports?.some((one) => one.port === port),
  );
const envOf = (rendered: Rendered, role: string, name: string) =>
  rendered.env('Deployment', role).find((one) => one.name === name);

const TOLERATION = [{ key: 'dedicated', operator: 'Exists' }];
const AFFINITY = { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } };
const SPREAD = [
  {
    maxSkew: 2,
    topologyKey: 'rack',
    whenUnsatisfiable: 'DoNotSchedule',
    labelSelector: { matchLabels: { app: 'posthorn' } },
  },
];
const PEERS = [{ podSelector: { matchLabels: { app: 'peer' } } }];
const RESOURCES = { requests: { cpu: '1', memory: '1Gi' }, limits: { memory: '2Gi' } };

/** The values that both roles have. */
const forRole = (role: 'api' | 'worker'): DocumentedValue[] => [
  value(`${role}.replicas`, 5, (r) => r.find('Deployment', role)?.spec.replicas),
  value(
    `${role}.disruptionBudget.maxUnavailable`,
    '25%',
    (r) => r.find('PodDisruptionBudget', role)?.spec.maxUnavailable,
  ),
  value(`${role}.resources`, RESOURCES, (r) => container(r, role).resources),
  value(
    `${role}.podAnnotations`,
    { note: role },
    (r) => r.find('Deployment', role)?.spec.template.metadata.annotations,
  ),
  value(
    `${role}.podLabels`,
    { team: role },
    (r) => r.find('Deployment', role)?.spec.template.metadata.labels.team,
    role,
  ),
  value(`${role}.nodeSelector`, { disk: 'ssd' }, (r) => pod(r, role).nodeSelector),
  value(`${role}.tolerations`, TOLERATION, (r) => pod(r, role).tolerations),
  value(`${role}.affinity`, AFFINITY, (r) => pod(r, role).affinity),
  value(`${role}.topologySpreadConstraints`, SPREAD, (r) => pod(r, role).topologySpreadConstraints),
  value(`${role}.priorityClassName`, 'high', (r) => pod(r, role).priorityClassName),
];

const scalingOf = (role: 'api' | 'worker'): DocumentedValue[] => [
  value(
    `${role}.autoscaling.enabled`,
    true,
    (r) => [
      r.find('HorizontalPodAutoscaler', role)?.spec.scaleTargetRef.name,
      r.find('Deployment', role)?.spec.replicas,
    ],
    [`posthorn-${role}`, undefined],
  ),
  value(
    `${role}.autoscaling.minReplicas`,
    3,
    (r) => r.find('HorizontalPodAutoscaler', role)?.spec.minReplicas,
  ),
  value(
    `${role}.autoscaling.maxReplicas`,
    20,
    (r) => r.find('HorizontalPodAutoscaler', role)?.spec.maxReplicas,
  ),
];

/** The values by the rendering that has them all: some exclude each other. */
export const RENDERINGS: Readonly<Record<string, readonly DocumentedValue[]>> = {
  'most values': [
    value(
      'nameOverride',
      'hooks',
      (r) => r.find('Service')?.metadata.labels['app.kubernetes.io/name'],
    ),
    value('image.repository', 'r.example/p', (r) => container(r).image, 'r.example/p:1.2.3'),
    value('image.tag', '1.2.3', (r) => container(r, 'worker').image, 'r.example/p:1.2.3'),
    value('image.pullPolicy', 'Always', (r) => container(r).imagePullPolicy),
    value('image.pullSecrets', [{ name: 'pull' }], (r) => pod(r).imagePullSecrets),
    value(
      'settings',
      { POSTHORN_RETENTION: '7d', POSTHORN_DISABLE_AFTER: false },
      (r) => [
        envOf(r, 'worker', 'POSTHORN_RETENTION')?.value,
        envOf(r, 'api', 'POSTHORN_DISABLE_AFTER')?.value,
      ],
      ['7d', 'off'],
    ),
    value(
      'secrets',
      { POSTHORN_ENCRYPTION_KEY: { name: 'vault', key: 'keys' } },
      (r) => envOf(r, 'worker', 'POSTHORN_ENCRYPTION_KEY')?.valueFrom?.secretKeyRef,
      { name: 'vault', key: 'keys' },
    ),
    value(
      'extraEnv',
      [{ name: 'NODE_EXTRA_CA_CERTS', value: '/certs/ca.pem' }],
      (r) => [envOf(r, 'api', 'NODE_EXTRA_CA_CERTS')?.value, r.env('Job', '').at(-1)?.value],
      ['/certs/ca.pem', '/certs/ca.pem'],
    ),
    value(
      'extraVolumes',
      [{ name: 'certs', secret: { secretName: 'certs' } }],
      (r) => pod(r).volumes.at(-1).name,
      'certs',
    ),
    value(
      'extraVolumeMounts',
      [{ name: 'certs', mountPath: '/certs', readOnly: true }],
      (r) => container(r, 'worker').volumeMounts.at(-1).mountPath,
      '/certs',
    ),
    value(
      'shutdown.delaySeconds',
      15,
      (r) => [
        envOf(r, 'api', 'POSTHORN_SHUTDOWN_DELAY')?.value,
        pod(r).terminationGracePeriodSeconds,
      ],
      ['15s', 70],
    ),
    value(
      'shutdown.graceSeconds',
      45,
      (r) => [
        envOf(r, 'worker', 'POSTHORN_SHUTDOWN_GRACE')?.value,
        pod(r, 'worker').terminationGracePeriodSeconds,
      ],
      ['45s', 55],
    ),
    value('startupSeconds', 900, (r) => container(r).startupProbe.failureThreshold, 450),
    value(
      'podSecurityContext',
      { fsGroup: 65532 },
      (r) => pod(r, 'worker').securityContext.fsGroup,
      65532,
    ),
    value(
      'serviceAccount.name',
      'hooks',
      (r) => [r.find('ServiceAccount')?.metadata.name, pod(r).serviceAccountName],
      ['hooks', 'hooks'],
    ),
    value(
      'serviceAccount.annotations',
      { 'eks.amazonaws.com/role-arn': 'arn' },
      (r) => r.find('ServiceAccount')?.metadata.annotations,
    ),
    ...forRole('api'),
    ...forRole('worker'),
    value(
      'migration.secrets',
      { DATABASE_URL: { name: 'owner', key: 'uri' } },
      (r) =>
        r.env('Job', '').find(({ name }) => name === 'DATABASE_URL')?.valueFrom?.secretKeyRef.name,
      'owner',
    ),
    value('migration.deadlineSeconds', 60, (r) => r.find('Job')?.spec.activeDeadlineSeconds),
    value('migration.serviceAccountName', 'db', (r) => podOf(r.find('Job')).serviceAccountName),
    value('service.type', 'LoadBalancer', (r) => r.find('Service')?.spec.type),
    value('service.port', 8080, (r) => r.find('Service')?.spec.ports[0].port),
    value(
      'service.annotations',
      { internal: 'true' },
      (r) => r.find('Service')?.metadata.annotations,
    ),
    value('ingress.enabled', true, (r) => r.find('Ingress')?.kind, 'Ingress'),
    value('ingress.className', 'nginx', (r) => r.find('Ingress')?.spec.ingressClassName),
    value('ingress.annotations', { a: 'b' }, (r) => r.find('Ingress')?.metadata.annotations),
    value(
      'ingress.hosts',
      ['hooks.example.com'],
      (r) => r.find('Ingress')?.spec.rules[0].host,
      'hooks.example.com',
    ),
    value('ingress.paths', ['/v1', '/ingest'], (r) =>
      r.find('Ingress')?.spec.rules[0].http.paths.map(({ path }: { path: string }) => path),
    ),
    value(
      'ingress.tls',
      [{ secretName: 'tls', hosts: ['hooks.example.com'] }],
      (r) => r.find('Ingress')?.spec.tls,
    ),
    value('networkPolicy.apiFrom', PEERS, (r) => policy(r, 'api').ingress[0].from),
    value('networkPolicy.metricsFrom', PEERS, (r) => policy(r).ingress[0].from),
    value('networkPolicy.postgres.port', 6432, (r) => egressTo(r, 6432)?.ports.length, 1),
    value('networkPolicy.postgres.to', PEERS, (r) => egressTo(r, 6432)?.to),
    value('networkPolicy.dnsTo', PEERS, (r) => egressTo(r, 53).to),
    value(
      'networkPolicy.extraEgress',
      [{ to: PEERS, ports: [{ protocol: 'TCP', port: 4318 }] }],
      (r) => egressTo(r, 4318)?.to,
      PEERS,
    ),
    value('serviceMonitor.enabled', true, (r) => r.find('ServiceMonitor')?.kind, 'ServiceMonitor'),
    value(
      'serviceMonitor.interval',
      '30s',
      (r) => r.find('ServiceMonitor')?.spec.endpoints[0].interval,
    ),
    value(
      'serviceMonitor.labels',
      { release: 'prometheus' },
      (r) => r.find('ServiceMonitor')?.metadata.labels.release,
      'prometheus',
    ),
  ],
  'another name and a digest': [
    value(
      'fullnameOverride',
      'hooks',
      (r) => r.find('Deployment', 'hooks-api')?.kind,
      'Deployment',
    ),
    value(
      'image.digest',
      `sha256:${'a'.repeat(64)}`,
      (r) => container(r).image,
      `registry.example/posthorn@sha256:${'a'.repeat(64)}`,
    ),
  ],
  'with autoscaling': [
    ...scalingOf('api'),
    ...scalingOf('worker'),
    value(
      'api.autoscaling.targetCPUUtilizationPercentage',
      50,
      (r) =>
        r.find('HorizontalPodAutoscaler', 'api')?.spec.metrics[0].resource.target
          .averageUtilization,
    ),
    value(
      'worker.autoscaling.targetAgeSeconds',
      90,
      (r) => r.find('HorizontalPodAutoscaler', 'worker')?.spec.metrics[0].object.target.value,
      '90',
    ),
  ],
  'with a metric of another system, and without what can be left out': [
    value(
      'worker.autoscaling.enabled',
      true,
      (r) => r.find('HorizontalPodAutoscaler')?.kind,
      'HorizontalPodAutoscaler',
    ),
    value(
      'worker.autoscaling.metrics',
      [
        {
          type: 'External',
          external: { metric: { name: 'age' }, target: { type: 'Value', value: '30' } },
        },
      ],
      (r) => r.find('HorizontalPodAutoscaler', 'worker')?.spec.metrics[0]?.external?.metric.name,
      'age',
    ),
    value(
      'serviceAccount.create',
      false,
      (r) => [r.find('ServiceAccount'), pod(r).serviceAccountName],
      [undefined, 'default'],
    ),
    value('migration.enabled', false, (r) => r.find('Job') ?? null, null),
    value('networkPolicy.publicEgress', false, (r) => /0\.0\.0\.0\/0/.test(r.text), false),
    value(
      'api.disruptionBudget.enabled',
      false,
      (r) => r.find('PodDisruptionBudget', 'api') ?? null,
      null,
    ),
    value(
      'worker.disruptionBudget.enabled',
      false,
      (r) => r.find('PodDisruptionBudget', 'worker') ?? null,
      null,
    ),
  ],
  'without network policies': [
    value('networkPolicy.enabled', false, (r) => r.find('NetworkPolicy') ?? null, null),
  ],
};

/** The values of a rendering, as helm gets them. */
export function valuesOf(documented: readonly DocumentedValue[]): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const { path, set } of documented) {
    const steps = path.split('.');
    const last = steps.pop() as string;
    let at = values;
    for (const step of steps) {
      at[step] ??= {};
      at = at[step] as Record<string, unknown>;
    }
    at[last] = set;
  }
  return values;
}
