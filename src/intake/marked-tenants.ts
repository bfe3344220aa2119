/** Tenants that are treated apart for a while. */
export interface MarkedTenants {
  /** Marks a tenant from now on. */
  mark(tenant: string): void;
  has(tenant: string): boolean;
}

/** @param forMs how long a mark lasts, in milliseconds. */
export function createMarkedTenants(forMs: number): MarkedTenants {
  const untils = new Map<string, number>();
  return {
    mark(tenant) {
      untils.set(tenant, performance.now() + forMs);
    },
    has(tenant) {
      const until = untils.get(tenant);
      if (until === undefined) return false;
      if (until > performance.now()) return true;
      untils.delete(tenant);
      return false;
    },
  };
}
