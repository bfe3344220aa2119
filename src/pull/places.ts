import { mayTake } from '../lib/fair-share.ts';

/** Requests of a process that pull at once. */
export const MAX_PULLS = 2_000;

/** Places for requests that pull. */
export interface PullPlaces {
  /**
   * Takes a place for a request of a tenant.
   *
   * @returns a function that gives the place back; or why there is none: all are taken (`full`), or those that are free
   *   are left to other tenants (`share`).
   */
  take(tenant: string): (() => void) | 'full' | 'share';
  /** The places that a tenant has. */
  takenBy(tenant: string): number;
  /** The places that are taken. */
  readonly taken: number;
}

/**
 * Limits the requests of a process that pull at once. Most of them wait, and each costs a connection of HTTP. A tenant that
 * has no place gets one while any is free, and a single tenant never takes all (fair-share.ts).
 */
export function createPullPlaces(max = MAX_PULLS): PullPlaces {
  const byTenant = new Map<string, number>();
  let taken = 0;

  const add = (tenant: string, more: 1 | -1) => {
    taken += more;
    const own = (byTenant.get(tenant) ?? 0) + more;
    if (own === 0) byTenant.delete(tenant);
    else byTenant.set(tenant, own);
  };

  return {
    take(tenant) {
      if (taken >= max) return 'full';
      if (!mayTake(1, byTenant.get(tenant) ?? 0, taken, max)) return 'share';
      add(tenant, 1);
      let isGiven = false;
      return () => {
        if (isGiven) return;
        isGiven = true;
        add(tenant, -1);
      };
    },
    takenBy: (tenant) => byTenant.get(tenant) ?? 0,
    get taken() {
      return taken;
    },
  };
}
