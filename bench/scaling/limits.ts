import type { Assumptions, Plan } from './plan.ts';

/** A primary, and what it has. */
export interface Machine {
  readonly postgresCores: number;
  readonly diskBytesPerSecond: number;
  readonly diskBytes: number;
  readonly maxConnections: number;
}

export type Resource = 'disk space' | 'disk throughput' | 'cores of Postgres' | 'connections';

/** What a plan uses of a resource of the primary: 1 is all that it has. */
export interface Use {
  readonly resource: Resource;
  readonly share: number;
}

/** Returns what a plan uses of a primary, the scarcest resource first. (Services run on as many hosts as they need.) */
export function usesOf(plan: Plan, machine: Machine, { utilisation }: Assumptions): Use[] {
  const uses: Use[] = [
    { resource: 'disk space', share: plan.diskBytes / machine.diskBytes },
    {
      resource: 'disk throughput',
      share: plan.writtenBytesPerSecond / machine.diskBytesPerSecond / utilisation,
    },
    {
      resource: 'cores of Postgres',
      share: plan.postgresCores / machine.postgresCores / utilisation,
    },
    { resource: 'connections', share: plan.connections / machine.maxConnections },
  ];
  return uses.toSorted((a, b) => b.share - a.share);
}
