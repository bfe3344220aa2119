import { enableCompileCache } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';

/**
 * What is read when a process begins.
 *
 * How glibc's malloc is to deal with memory: as it comes it has an arena for every other thread, of
 * which we have seventy, and raises what it keeps of freed memory with each large block: 20 to 50 MiB
 * of a busy process. And where Node finds this very file without its types: it would load its compiler
 * to strip it, and keep that, another 15 MiB. What others set is left as it is.
 */
const FROM_THE_START = {
  MALLOC_ARENA_MAX: '2',
  // Both are 128 KiB before they are raised; bodies that are mapped and unmapped one by one cost CPU.
  MALLOC_MMAP_THRESHOLD_: String(1024 * 1024),
  MALLOC_TRIM_THRESHOLD_: String(2 * 1024 * 1024),
};
const isSet = Object.keys(FROM_THE_START).some((name) => name in process.env);
// So the service begins once more, in this same process: with its number, its terminal and its flags.
// Not where a parent speaks to it by a channel, which would not outlive that: under a supervisor it
// has these from there.
if (process.argv[2] === 'start' && process.platform === 'linux' && !isSet && !process.channel) {
  process.execve?.(
    process.execPath,
    [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    {
      NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache'),
      ...process.env,
      ...FROM_THE_START,
    } as NodeJS.ProcessEnv,
  );
}

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
