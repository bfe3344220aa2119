#!/usr/bin/env -S node --max-semi-space-size=16
// Not TypeScript: Node would load its compiler to strip this file, and keep it, 15 MiB, before there
// is a cache in which all others are found without their types.
import { enableCompileCache } from 'node:module';
import { setFlagsFromString } from 'node:v8';

enableCompileCache?.();
// Names are resolved on these threads, by the system's resolver. The usual four are soon all taken by
// name servers that do not answer, and no connection could be made to anybody else.
process.env.UV_THREADPOOL_SIZE ??= '64';
// On a machine with much memory V8 lets its heap grow to four times what is alive before it collects.
// With this, and with the young generation bounded where Node is called (a flag that must be given
// at its start), a busy process stays under 250 MB at the same speed.
setFlagsFromString('--heap-growing-percent=60');
const { runCli } = await import('./cli/cli.ts');
await runCli(process.argv);
