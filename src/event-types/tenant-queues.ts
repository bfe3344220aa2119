/** `quick` is for tenants whose jobs are fast, `slow` for the others. */
export type Lane = 'quick' | 'slow';

/** A job of a tenant. */
export interface Job {
  readonly tenant: string;
  /** The memory that it holds. */
  readonly bytes: number;
  /** The lane of the job while its tenant is not slow. */
  readonly lane: Lane;
  /** By performance.now(). */
  readonly since: number;
}

/** Too many bytes of a tenant are waiting. */
export class TooMuchWaitingError extends Error {
  override readonly name = 'TooMuchWaitingError';
}

const MAX_WAITING = 1000;
const MAX_WAITING_BYTES = 32 * 1024 * 1024;
/** A tenant may use half of a core on average, */
const SHARE = 0.5;
/** and ten seconds of it in advance. */
const BURST_MS = 10_000;
/** For this long, a slow tenant stays in the slow lane. */
const SLOW_FOR_MS = 600_000;
/** Beyond this many tenants, those without jobs or used time are forgotten. */
const MANY_TENANTS = 1000;

interface Account<J> {
  readonly waiting: J[];
  bytes: number;
  /** The CPU time that it has used and not yet got back, at the time `at`. */
  owedMs: number;
  at: number;
  slowUntil: number;
  /** Grows with each turn: a higher number means a later turn. */
  turn: number;
}

/**
 * Creates a queue for each tenant. The next job belongs to the tenant with the least recent CPU time, and among
 * equals to the tenant whose last turn is the longest ago. A tenant that has used more than its share waits even
 * if no other tenant does.
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
        throw new TooMuchWaitingError(
          'Too many webhooks or schemas of this tenant are waiting to be validated',
        );
      waiting.push(job);
      account.bytes += job.bytes;
      waitingAccounts.add(account);
    },
    /** Puts back jobs that were taken in this order and not run. */
    putBack(jobs: readonly J[], now: number): void {
      for (const job of jobs.toReversed()) {
        const account = accountOf(job.tenant, now);
        account.waiting.unshift(job);
        account.bytes += job.bytes;
        waitingAccounts.add(account);
      }
    },
    /** Returns whether a lane has a job that may run now. */
    has(lane: Lane, now: number): boolean {
      return next(lane, now) !== undefined;
    },
    /** Takes the next job of a lane, if any job may run now. */
    take(lane: Lane, now: number): J | undefined {
      const found = next(lane, now);
      if (found === undefined) return undefined;
      turns += 1;
      found.account.turn = turns;
      return remove(found.account, found.index);
    },
    /** Takes the jobs that have waited since before a time. */
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
    /** Moves the tenant to the slow lane. */
    markSlow(tenant: string, now: number): void {
      accountOf(tenant, now).slowUntil = now + SLOW_FOR_MS;
    },
    get isEmpty(): boolean {
      return waitingAccounts.size === 0;
    },
  };
}
