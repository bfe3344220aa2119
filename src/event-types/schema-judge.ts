import { createHash } from 'node:crypto';
import { errorMessage } from '../lib/errors.ts';
import { createJudgingThread, type Outcome, type ThreadJob } from './judging-thread.ts';
import { createTenantQueues, type Job, type Lane } from './tenant-queues.ts';
import type { Reading, Task, Verdict } from './thread-messages.ts';

export { TooMuchWaitingError } from './tenant-queues.ts';
export type { Reading } from './thread-messages.ts';

/** The schema was not judged within the time that a caller waits. */
export class NotJudgedError extends Error {
  override readonly name = 'NotJudgedError';
}

export interface Judgement extends Verdict {
  /** Judging exceeded its limits and was stopped: `now`, or some time `ago`, and was therefore not tried again. */
  readonly gaveUp?: 'now' | 'ago';
  readonly cpuMs: number;
}

export interface SchemaJudge {
  /**
   * Checks for a tenant that data (JSON text; null: none) fits a JSON Schema (draft 2020-12, JSON text).
   *
   * @throws TooMuchWaitingError when too many bytes of this tenant are waiting.
   * @throws NotJudgedError
   */
  judge(tenant: string, schema: string, data: string | null): Promise<Judgement>;
  /**
   * Reads the event types of an OpenAPI document (a JSON text) for a tenant.
   *
   * @throws TooMuchWaitingError when too many bytes of this tenant are waiting.
   * @throws NotJudgedError
   */
  readDocument(tenant: string, document: string): Promise<Reading>;
  stop(): Promise<void>;
}

/** The CPU time of one task, in each of the two threads. */
const LIMITS_MS = { quick: 200, slow: 1_000 };
/** The time that a caller waits for its task to start. */
const MAX_WAIT_MS = 10_000;
/** A schema that took too long is not tried again for this time, so that the tenant's other schemas get time. */
const GIVEN_UP_FOR_MS = 60_000;
/** The most schemas of a tenant that are given up, and the most tenants with such schemas. */
const MAX_GIVEN_UP = 1_000;
const SWEEP_MS = 100;

type JudgeJob = Job & ThreadJob;

/**
 * Validates data against tenants' schemas, and reads their documents. A schema can have a regular expression
 * that never ends, or parts that multiply, so this runs in two threads, which are replaced when a task takes
 * too long or too much memory:
 *
 * ```
 * a task ─► quick thread ─► answered
 *             └─► took 200 ms ─► all tasks of its tenant, also this task, go to the
 *                                slow thread for ten minutes ─► answered
 *                                  └─► took 1 s ─► given up; the caller is told
 * ```
 *
 * So a tenant can delay others for a fifth of a second, once in ten minutes, and then only tenants that were
 * slow too. Within a thread the tenants take turns (tenant-queues.ts). The threads start with the first task.
 */
export function createSchemaJudge(): SchemaJudge {
  const queues = createTenantQueues<JudgeJob>();
  const givenUp = createGivenUp();
  let sweeper: NodeJS.Timeout | undefined;
  let stopped = false;

  const threadOf = (lane: Lane) =>
    createJudgingThread<JudgeJob>({
      name: lane,
      limitMs: LIMITS_MS[lane],
      take: () => queues.take(lane, performance.now()),
      putBack: (jobs) => queues.putBack(jobs, performance.now()),
    });
  const threads = { quick: threadOf('quick'), slow: threadOf('slow') };

  function wake(): void {
    if (queues.has('quick', performance.now())) threads.quick.wake();
    if (queues.has('slow', performance.now())) threads.slow.wake();
    if (!queues.isEmpty) sweeper ??= setInterval(sweep, SWEEP_MS).unref();
  }

  function sweep(): void {
    for (const { fail } of queues.takeOlderThan(performance.now() - MAX_WAIT_MS))
      fail(new NotJudgedError(`It was not validated within ${MAX_WAIT_MS / 1000} s`));
    if (queues.isEmpty) {
      clearInterval(sweeper);
      sweeper = undefined;
    } else {
      // Tenants that had used more than their share may continue.
      wake();
    }
  }

  async function run(tenant: string, task: Task, bytes: number, lane: Lane): Promise<Outcome> {
    if (stopped) throw new NotJudgedError('The service is stopping');
    return await new Promise<Outcome>((resolve, reject) => {
      const settle = (outcome: Outcome) => {
        const now = performance.now();
        queues.charge(tenant, outcome.cpuMs, now);
        if (outcome.kind === 'ended') queues.markSlow(tenant, now);
        resolve(outcome);
      };
      const fail = (error: unknown) => {
        const known = error instanceof NotJudgedError;
        const message = `The thread that validates schemas did not start: ${errorMessage(error)}`;
        reject(known ? error : new NotJudgedError(message, { cause: error }));
      };
      queues.add({ tenant, task, bytes, lane, since: performance.now(), settle, fail });
      wake();
    });
  }

  async function ask(tenant: string, task: Task, bytes: number, lane: Lane): Promise<Outcome> {
    const outcome = await run(tenant, task, bytes, lane);
    const goesOn = outcome.kind === 'ended' && outcome.by === 'quick';
    return goesOn ? await run(tenant, task, bytes, 'slow') : outcome;
  }

  return {
    async judge(tenant, schema, data) {
      if (givenUp.has(tenant, schema))
        return { ...tooMuch('took too long a moment ago'), gaveUp: 'ago', cpuMs: 0 };
      const bytes = schema.length + (data?.length ?? 0);
      const outcome = await ask(tenant, { kind: 'judge', tenant, schema, data }, bytes, 'quick');
      const { cpuMs } = outcome;
      if (outcome.kind === 'answered') return { ...(outcome.result as Verdict), cpuMs };
      givenUp.add(tenant, schema);
      return { ...tooMuch(outcome.why), gaveUp: 'now', cpuMs };
    },
    async readDocument(tenant, document) {
      const task = { kind: 'read-document', document } as const;
      const outcome = await ask(tenant, task, document.length, 'slow');
      if (outcome.kind === 'answered') return outcome.result as Reading;
      return { place: '', message: `cannot be read: that ${outcome.why}; import less at a time` };
    },
    async stop() {
      stopped = true;
      clearInterval(sweeper);
      await Promise.all([threads.quick.stop(), threads.slow.stop()]);
      for (const { fail } of queues.takeOlderThan(Number.POSITIVE_INFINITY))
        fail(new NotJudgedError('The service is stopping'));
    },
  };
}

function tooMuch(what: string): Verdict {
  return { problem: `validating with it ${what}; simplify it`, errors: [] };
}

/** Remembers for a minute which schemas of which tenant took too long. */
function createGivenUp() {
  const tenants = new Map<string, Map<string, number>>();
  const digestOf = (schema: string) => createHash('sha256').update(schema).digest('base64');
  return {
    has(tenant: string, schema: string): boolean {
      const own = tenants.get(tenant);
      if (own === undefined) return false;
      const digest = digestOf(schema);
      const until = own.get(digest);
      if (until === undefined || until > performance.now()) return until !== undefined;
      own.delete(digest);
      if (own.size === 0) tenants.delete(tenant);
      return false;
    },
    add(tenant: string, schema: string): void {
      const own = tenants.get(tenant) ?? new Map<string, number>();
      if (own.size >= MAX_GIVEN_UP) own.delete(own.keys().next().value as string);
      own.set(digestOf(schema), performance.now() + GIVEN_UP_FOR_MS);
      tenants.delete(tenant);
      tenants.set(tenant, own);
      if (tenants.size > MAX_GIVEN_UP) tenants.delete(tenants.keys().next().value as string);
    },
  };
}
