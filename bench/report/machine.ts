import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import { VERSION } from '#src/version.ts';

/** The machine and the versions on which the figures depend. */
export interface Machine {
  readonly at: string;
  readonly machine: string;
  readonly versions: {
    readonly posthorn: string;
    readonly node: string;
    readonly postgres: string;
  };
}

export function describeMachine(postgresVersion: string): Machine {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  return {
    at: new Date().toISOString(),
    machine: `${availableParallelism()} cores (${model}), ${Math.round(totalmem() / 2 ** 30)} GiB, ${platform()} ${release()} ${arch()}`,
    versions: { posthorn: VERSION, node: process.version, postgres: postgresVersion },
  };
}
