// Runs command lines for cli-runner.ts.
import { runCli } from '../../src/cli/cli.ts';
import type { CommandToRun, EndedCommand } from './cli-runner.ts';

const before = { ...process.env };
const output = { stdout: '', stderr: '' };
for (const name of ['stdout', 'stderr'] as const)
  process[name].write = (chunk: string | Uint8Array, ...rest: unknown[]) => {
    output[name] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    const done = rest.find((one) => typeof one === 'function') as (() => void) | undefined;
    done?.();
    return true;
  };

// Each command adds one to the streams.
process.stdout.setMaxListeners(0);

process.on('message', async ({ args, env }: CommandToRun) => {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  Object.assign(process.env, env);
  output.stdout = '';
  output.stderr = '';
  process.exitCode = undefined;
  try {
    await runCli([process.execPath, 'posthorn', ...args]);
  } catch (error) {
    // As Node prints what nobody catches.
    output.stderr += `${(error as Error).stack}\n`;
    process.exitCode = 1;
  }
  // After output that is written late.
  setImmediate(() =>
    process.send?.({ code: Number(process.exitCode ?? 0), ...output } satisfies EndedCommand),
  );
});
process.on('disconnect', () => process.exit());
