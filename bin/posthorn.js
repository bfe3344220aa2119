#!/usr/bin/env node
// The command `posthorn`, for any Node that the shell finds: an old one would end with a stack trace, so this is
// plain JavaScript. It is not main.ts itself, because npm marks the file of a command as executable when npx runs
// it, and `node --watch` would restart a service whose main.ts has changed.
import { existsSync, readFileSync } from 'node:fs';

const inPackage = (path) => new URL(`../${path}`, import.meta.url);
const { engines } = JSON.parse(readFileSync(inPackage('package.json'), 'utf8'));
const numbersOf = (version) => version.match(/\d+/g).map(Number);
const [neededMajor, neededMinor] = numbersOf(engines.node);
const [major, minor] = numbersOf(process.versions.node);

if (major < neededMajor || (major === neededMajor && minor < neededMinor)) {
  process.stderr.write(
    `posthorn: this is Node ${process.versions.node}, and Posthorn needs Node ${neededMajor}.${neededMinor} or newer.\n`,
  );
  process.exitCode = 1;
} else {
  // A checkout has the TypeScript, which Node runs as it is. The package has only JavaScript, because Node strips no
  // types under node_modules.
  const source = inPackage('src/main.ts');
  await import(existsSync(source) ? source.href : inPackage('dist/src/main.js').href);
}
