// `npm run --silent sbom > sbom.cdx.json`: the software bill of materials of the package, in CycloneDX's format.
//
// `npm sbom --omit dev` in a checkout also leaves out packages that run, such as ajv (seen in npm 11.19). So npm is
// given a lock without the dev dependencies.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../helpers/packages.ts';

const ROOT = join(import.meta.dirname, '..', '..');

const folder = mkdtempSync(join(tmpdir(), 'posthorn-sbom-'));
try {
  const { devDependencies, scripts, ...manifest } = JSON.parse(
    readFileSync(join(ROOT, 'package.json'), 'utf8'),
  );
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  cpSync(join(ROOT, 'package-lock.json'), join(folder, 'package-lock.json'));
  await run(['npm', 'install', '--package-lock-only', '--offline', '--no-audit'], folder);
  const format = ['--sbom-format', 'cyclonedx', '--sbom-type', 'application'];
  process.stdout.write(await run(['npm', 'sbom', '--package-lock-only', ...format], folder));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
