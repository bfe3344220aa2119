// Programs and schemas that judge what is in deploy/: helm, kubeconform, and readers of ServiceMonitors and Compose
// files from the Go module proxy, and Kubernetes' schemas from PyPI.
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { install, installedFolder, type Pinned, run, whyNot } from '../helpers/packages.ts';
import { go, python } from '../helpers/toolchains.ts';

/** The oldest and the newest Kubernetes for which the chart is. */
export const KUBERNETES = ['1.29.0', '1.37.0'] as const;

const PROGRAMS: Pinned = {
  source: join(import.meta.dirname, 'go'),
  files: ['go.mod', 'go.sum', 'compose/main.go', 'service-monitor/main.go'],
};
const PACKAGES = [
  'helm.sh/helm/v3/cmd/helm',
  'github.com/yannh/kubeconform/cmd/kubeconform',
  './service-monitor',
  './compose',
];

const SCHEMAS: Pinned = {
  source: join(import.meta.dirname, 'helm'),
  files: ['requirements.txt', 'schemas.py'],
  variant: KUBERNETES.join(),
};

/** Returns why the programs cannot be had here, or false. */
export const whyNoPrograms = () => whyNot(go, () => existsSync(installedFolder(PROGRAMS)));

/** Returns why the schemas cannot be had here, or false. */
export const whyNoSchemas = () => whyNot(python, () => existsSync(installedFolder(SCHEMAS)));

/** Builds the programs, if they are not there yet, which takes minutes, and returns their folder. */
export async function installPrograms(): Promise<string> {
  const folder = await install(PROGRAMS, async (folder) => {
    // Not optimized, which takes half the time.
    const flags = ['-trimpath', '-buildvcs=false', '-gcflags=all=-N -l', '-ldflags=-s -w'];
    mkdirSync(join(folder, 'bin'));
    const build = ['go', 'build', ...flags, '-o', 'bin/', ...PACKAGES] as const;
    await run(build, folder, { CGO_ENABLED: '0' });
  });
  return join(folder, 'bin');
}

/** Makes the schemas, if they are not there yet, and returns where kubeconform finds them. */
export async function installSchemas(): Promise<string> {
  const folder = await install(SCHEMAS, async (folder) => {
    const pip = ['python3', '-m', 'pip', 'download', '--quiet', '--no-deps'] as const;
    const pinned = ['--require-hashes', '--only-binary', ':all:'];
    await run([...pip, ...pinned, '--requirement', 'requirements.txt', '--dest', 'wheel'], folder);
    const [wheel = ''] = readdirSync(join(folder, 'wheel'));
    await run(['python3', 'schemas.py', join('wheel', wheel), '.', ...KUBERNETES], folder);
    rmSync(join(folder, 'wheel'), { recursive: true });
  });
  return join(folder, '{{.ResourceKind}}-{{.NormalizedKubernetesVersion}}.json');
}
