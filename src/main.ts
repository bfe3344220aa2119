import { enableCompileCache } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';

const isService = process.argv[2] === 'start';
/** In the installed package. A checkout has TypeScript, from which Node strips the types each time. */
const isJavaScript = import.meta.filename.endsWith('.js');

/**
 * Environment variables that are read only when a process begins. Values that are already set stay.
 *
 * By default, glibc's malloc has an arena for every second of our seventy threads, and keeps more freed memory
 * after each large block: 20 to 50 MiB of a busy process.
 */
const FROM_THE_START = {
  MALLOC_ARENA_MAX: '2',
  // Both are 128 KiB before they are raised; bodies that are mapped and unmapped one by one cost CPU.
  MALLOC_MMAP_THRESHOLD_: String(1024 * 1024),
  MALLOC_TRIM_THRESHOLD_: String(2 * 1024 * 1024),
};
/** Bounds the young generation: V8 lets it grow to 48 MiB and more, for no speed here. */
const withFlag = (flags: readonly string[]) =>
  flags.some((flag) => flag.startsWith('--max-semi-space-size'))
    ? flags
    : ['--max-semi-space-size=8', ...flags];
/** Node would load its TypeScript compiler for this file and keep it, 15 MiB, if its cache did not have the file. */
const compileCache = isJavaScript
  ? {}
  : { NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache') };
const isSet = Object.keys(FROM_THE_START).some((name) => name in process.env);
// So the service starts once more in this same process, which keeps its id, its terminal and its flags. A process
// with a channel to its parent does not, because the channel would be lost; the supervisor sets the variables for it.
if (isService && process.platform === 'linux' && !isSet && !process.channel) {
  process.execve?.(
    process.execPath,
    [process.execPath, ...withFlag(process.execArgv), ...process.argv.slice(1)],
    {
      ...compileCache,
      ...process.env,
      ...FROM_THE_START,
    } as NodeJS.ProcessEnv,
  );
}

// Code from the cache takes 8 MiB more than code that V8 compiles when it is called, and is never dropped. A service
// starts seldom; other commands are quicker with it.
if (!isService || !isJavaScript) enableCompileCache?.();
// The system's resolver resolves names on these threads. Name servers that do not answer would soon occupy the
// usual four, and no connection to any other receiver could be made.
process.env.UV_THREADPOOL_SIZE ??= '64';
// On a machine with much memory V8 lets its heap grow to four times what is alive before it collects. At full load a
// process is 10 MiB smaller with 40 than with 60. With 25 it is 5 MiB smaller still, but the heap is collected twice as
// often, which took several per cent of the CPU.
setFlagsFromString('--heap-growing-percent=40');
const { runCli } = await import('./cli/cli.ts');
await runCli(process.argv);
