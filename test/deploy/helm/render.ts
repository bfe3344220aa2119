import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { run } from '../../helpers/packages.ts';
import { installPrograms, KUBERNETES } from '../tools.ts';

export const CHART = join(import.meta.dirname, '..', '..', '..', 'deploy', 'helm', 'posthorn');

/** The values that have no default. */
export const LEAST = {
  image: { repository: 'registry.example/posthorn' },
  secrets: {
    DATABASE_URL: { name: 'posthorn-app', key: 'uri' },
    POSTHORN_ADMIN_KEY: { name: 'posthorn' },
  },
};

export type Values = Record<string, unknown>;

/** A Kubernetes object. */
export interface Manifest {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  // biome-ignore lint/suspicious/noExplicitAny: the shape is what the tests look at
  readonly [field: string]: any;
}

/** What a chart becomes. */
export interface Rendered {
  readonly text: string;
  readonly manifests: readonly Manifest[];
  readonly notes: string;
  /** Finds a manifest by its kind, and by the end of its name where there are several. */
  find(kind: string, suffix?: string): Manifest | undefined;
  /** The environment of a Deployment or Job. */
  env(kind: 'Deployment' | 'Job', suffix: string): readonly EnvVar[];
}

export interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly secretKeyRef: { readonly name: string; readonly key: string } };
}

/** The pod that a Deployment or Job makes. */
export const podOf = (manifest: Manifest | undefined) => manifest?.spec.template.spec;

/** Makes the notes one of the manifests: `helm template` leaves them out, and other commands want a cluster. */
const NOTES = `kind: Notes
metadata: { name: notes }
text: {{ include (print $.Template.BasePath "/NOTES.txt") . | quote }}
`;

/**
 * Renders the chart as `helm install posthorn` would.
 *
 * @param values besides `least`.
 * @throws Error with helm's words.
 */
export async function render(values: Values = {}, least: Values = LEAST): Promise<Rendered> {
  const helm = join(await installPrograms('helm'), 'helm');
  const folder = mkdtempSync(join(tmpdir(), 'posthorn-helm-'));
  try {
    const chart = join(folder, 'posthorn');
    cpSync(CHART, chart, { recursive: true });
    writeFileSync(join(chart, 'templates', 'notes.yaml'), NOTES);
    const [first, second] = [join(folder, 'least.json'), join(folder, 'values.json')];
    writeFileSync(first, JSON.stringify(least));
    writeFileSync(second, JSON.stringify(values));
    // Without it, a helm that was built without its release script thinks of Kubernetes 1.20.
    const version = ['--kube-version', KUBERNETES[1]];
    const given = [...version, '--namespace', 'hooks', '--values', first, '--values', second];
    const homes = { HELM_CACHE_HOME: folder, HELM_CONFIG_HOME: folder, HELM_DATA_HOME: folder };
    return readManifests(await run([helm, 'template', 'posthorn', chart, ...given], folder, homes));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readManifests(printed: string): Rendered {
  const documents = parseAllDocuments(printed).filter(({ contents }) => contents !== null);
  const [broken] = documents.flatMap(({ errors }) => errors);
  if (broken !== undefined) throw broken;
  const all = documents.map((document) => document.toJS() as Manifest);
  const manifests = all.filter(({ kind }) => kind !== 'Notes');
  const find: Rendered['find'] = (kind, suffix = '') =>
    manifests.find((one) => one.kind === kind && one.metadata.name.endsWith(suffix));
  return {
    text: printed
      .split(/^---\n/m)
      .filter((one) => !one.includes('\nkind: Notes\n'))
      .join('---\n'),
    manifests,
    notes: all.find(({ kind }) => kind === 'Notes')?.text,
    find,
    env: (kind, suffix) => podOf(find(kind, suffix))?.containers[0].env ?? [],
  };
}
