/** `quick` is for tenants whose questions are answered fast; the others have `slow` to themselves. */
export type Lane = 'quick' | 'slow';

/** Something to be done for a tenant. */
export interface Job {
  readonly tenant: string;
  /** What it holds in memory. */
  readonly bytes: number;
  /** Where it is done while its tenant is not slow. */
  readonly lane: Lane;
  /** By performance.now(). */
  readonly since: number;
}

/** A tenant has more waiting than it may. */
export class TooMuchWaitingError extends Error {
  override readonly name = 'TooMuchWaitingError';
}

const MAX_WAITING = 1000;
const MAX_WAITING_BYTES = 32 * 1024 * 1024;
/** A tenant may use half of a core, */
const SHARE = 0.5;
/** and ten seconds of it in advance. */
const BURST_MS = 10_000;
/** A tenant that was slow stays in the slow lane for so long. */
const SLOW_FOR_MS = 600_000;
/** From so many on, tenants with nothing to remember are forgotten. */
const MANY_TENANTS = 1000;

interface Account<J> {
  readonly waiting: J[];
  bytes: number;
  /** What it has used of a core and has not yet got back, at the time `at`. */
  owedMs: number;
  at: number;
  slowUntil: number;
  /** The higher, the later it had its last turn. */
  turn: number;
}

/**
 * A queue for each tenant. The next job is of the tenant that has used least of a core lately, and among
 * equals of the one that had no turn for the longest time. A tenant that has used more than its share waits
 * even if nobody else does.
 */
export function createTenantQueues<J extends Job>() {
  const accounts = new Map<string, Account<J>>();
  const waitingAccounts = new Set<Account<J>>();
  let turns = 0;

  function accountOf(tenant: string, now: number): Account<J> {
    let account = accounts.get(tenant);
    if (account === undefined) {
      if (accounts.size >= MANY_TENANTS) forgetIdle(now);
      account = { waiting: [], bytes: 0, owedMs: 0, at: now, slowUntil: 0, turn: 0 };
      accounts.set(tenant, account);
    }
    return account;
  }

  function forgetIdle(now: number): void {
    for (const [tenant, account] of accounts)
      if (account.waiting.length === 0 && account.slowUntil <= now && owedMs(account, now) === 0)
        accounts.delete(tenant);
  }

  function owedMs(account: Account<J>, now: number): number {
    account.owedMs = Math.max(0, account.owedMs - SHARE * (now - account.at));
    account.at = now;
    return account.owedMs;
  }

  function next(lane: Lane, now: number) {
    let found: { account: Account<J>; index: number; owed: number } | undefined;
    for (const account of waitingAccounts) {
      const owed = owedMs(account, now);
      if (owed > BURST_MS) continue;
      const isSlow = account.slowUntil > now;
      const index = account.waiting.findIndex((job) => (isSlow ? 'slow' : job.lane) === lane);
      if (index === -1) continue;
      const isSooner =
        found === undefined ||
        owed < found.owed ||
        (owed === found.owed && account.turn < found.account.turn);
      if (isSooner) found = { account, index, owed };
    }
    return found;
  }

  function remove(account: Account<J>, index: number): J {
    const [job] = account.waiting.splice(index, 1) as [J];
    account.bytes -= job.bytes;
    if (account.waiting.length === 0) waitingAccounts.delete(account);
    return job;
  }

  return {
    /** @throws TooMuchWaitingError */
    add(job: J): void {
      const account = accountOf(job.tenant, job.since);
      const { waiting, bytes } = account;
      if (
        waiting.length >= MAX_WAITING ||
        (waiting.length > 0 && bytes + job.bytes > MAX_WAITING_BYTES)
      )
        throw new TooMuchWaitingError('More of this tenant is waiting to be validated than may');
      waiting.push(job);
      account.bytes += job.bytes;
      waitingAccounts.add(account);
    },
    /** Puts jobs that were taken in this order, and not done, where they were. */
    putBack(jobs: readonly J[], now: number): void {
      for (const job of jobs.toReversed()) {
        const account = accountOf(job.tenant, now);
        account.waiting.unshift(job);
        account.bytes += job.bytes;
        waitingAccounts.add(account);
      }
    },
    /** Whether a lane has a job whose turn it is. */
    has(lane: Lane, now: number): boolean {
      return next(lane, now) !== undefined;
    },
    /** The job whose turn it is in a lane, if there is one. */
    take(lane: Lane, now: number): J | undefined {
      const found = next(lane, now);
      if (found === undefined) return undefined;
      turns += 1;
      found.account.turn = turns;
      return remove(found.account, found.index);
    },
    /** Takes those that have waited since before a time. */
    takeOlderThan(time: number): J[] {
      const old: J[] = [];
      for (const account of waitingAccounts)
        for (let index = account.waiting.length - 1; index >= 0; index -= 1)
          if ((account.waiting[index] as J).since < time) old.push(remove(account, index));
      return old;
    },
    charge(tenant: string, cpuMs: number, now: number): void {
      const account = accountOf(tenant, now);
      account.owedMs = owedMs(account, now) + cpuMs;
    },
    /** From now on the tenant's jobs are done in the slow lane. */
    markSlow(tenant: string, now: number): void {
      accountOf(tenant, now).slowUntil = now + SLOW_FOR_MS;
    },
    get isEmpty(): boolean {
      return waitingAccounts.size === 0;
    },
  };
}
