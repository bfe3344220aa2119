#!/usr/bin/env -S node --max-semi-space-size=8
// The command `posthorn`: main.ts, for whatever Node the shell finds. An old one would end with a stack
// trace at the first type, so this is JavaScript. npm also marks the file of a command as executable
// whenever npx runs it, and `node --watch` would restart a service whose main.ts that was.
import { readFileSync } from 'node:fs';

const { engines } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
);
const needed = Number(engines.node.replace(/\D/g, ''));

if (Number(process.versions.node.split('.')[0]) < needed) {
  process.stderr.write(
    `posthorn: this is Node ${process.versions.node}, and Posthorn needs Node ${needed} or newer. In a checkout, npm start and npx posthorn use the right one.\n`,
  );
  process.exitCode = 1;
} else {
  await import('../main.ts');
}
