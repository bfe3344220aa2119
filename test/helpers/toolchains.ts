// The tools and registries of the languages in which tests run programs.
import { join } from 'node:path';
import { run, type Toolchain } from './packages.ts';

/** With an empty cache, since npm answers from its cache when the registry does not, even with --prefer-online. */
const ASK_NPM = `
  dir=$(mktemp -d) || exit
  said=$(npm view pg name --cache "$dir" --fetch-retries=0 --fetch-timeout=15000 --logs-max=0 2>&1)
  status=$?
  rm -r "$dir"
  echo "$said" | grep -m 1 -e 'npm error' >&2
  exit $status`;

export const npm: Toolchain = {
  tools: [{ command: ['npm', '--version'] }],
  registry: { name: "npm's registry", ask: ['sh', '-c', ASK_NPM] },
};

export const python: Toolchain = {
  tools: [
    { command: ['python3', '--version'], atLeast: '3.11' },
    { command: ['python3', '-m', 'pip', '--version'] },
  ],
  registry: {
    name: 'PyPI',
    ask: [
      ...(['python3', '-m', 'pip', 'index', 'versions'] as const),
      ...['--retries', '0', '--timeout', '15', 'psycopg'],
    ],
  },
};

export const go: Toolchain = {
  tools: [{ command: ['go', 'version'], atLeast: '1.26' }],
  registry: {
    name: "Go's module proxy",
    ask: ['go', 'list', '-m', '-versions', 'github.com/jackc/pgx/v5'],
  },
};

export const rust: Toolchain = {
  tools: [
    { command: ['cargo', '--version'] },
    { command: ['rustc', '--version'], atLeast: '1.94' },
  ],
  registry: {
    name: 'crates.io',
    ask: [
      'cargo',
      'info',
      '--quiet',
      'itoa',
      '--config',
      'net.retry=0',
      '--config',
      'http.timeout=15',
    ],
  },
};

/** With an empty repository of its own, so that the answer comes from the registry. */
const ASK_MAVEN = `
  dir=$(mktemp -d) || exit
  said=$(mvn -q -B -Dmaven.repo.local="$dir" -f "$0" validate 2>&1)
  status=$?
  rm -r "$dir"
  echo "$said" | grep -m 1 -e Non-resolvable -e ERROR >&2
  exit $status`;

export const java: Toolchain = {
  tools: [
    { command: ['javac', '-version'], atLeast: '17' },
    { command: ['mvn', '-B', '--version'] },
  ],
  registry: {
    name: 'Maven Central',
    ask: ['sh', '-c', ASK_MAVEN, join(import.meta.dirname, 'maven-ask.xml')],
  },
};

/** Names the version of Python, for which alone its compiled packages are; empty if there is no Python. */
export async function pythonTag(): Promise<string> {
  const program = 'import sys; print(sys.implementation.cache_tag)';
  return await run(['python3', '-c', program], '/').catch(() => '');
}
