import { Worker } from 'node:worker_threads';
import { errorCode, errorMessage } from '../lib/errors.ts';
import { moduleBeside } from '../lib/package-files.ts';
import type { Answer, Question, Task } from './thread-messages.ts';
import { isAnswer, WANTS_MORE } from './thread-messages.ts';

/** The result of a job: an answer, or that it exceeded its limits and the thread was terminated. */
export type Outcome =
  | { readonly kind: 'answered'; readonly result: Answer['result']; readonly cpuMs: number }
  | {
      readonly kind: 'ended';
      readonly why: string;
      readonly cpuMs: number;
      /** The name of the thread. */
      readonly by: string;
    };

export interface ThreadJob {
  readonly task: Task;
  readonly bytes: number;
  readonly settle: (outcome: Outcome) => void;
  readonly fail: (error: unknown) => void;
}

interface JudgingThreadOptions<J extends ThreadJob> {
  readonly name: string;
  /** The CPU time of one task. */
  readonly limitMs: number;
  /** Returns the next job, if any job waits. */
  readonly take: () => J | undefined;
  /** Takes back jobs that were taken but not started, or whose thread was terminated because of another job. */
  readonly putBack: (jobs: readonly J[]) => void;
}

interface JudgingThread {
  /** Tells the thread that there may be a job to take. */
  wake(): void;
  stop(): Promise<void>;
}

/** The limits count the thread's CPU time; on a busy machine a task may take this much longer by the clock. */
const MAX_TASK_MS = 10_000;
/** The thread gives back jobs that it did not start within 20 ms, and those are copied again. */
const MAX_BATCH = 64;
const MAX_BATCH_BYTES = 1024 * 1024;

/**
 * Creates a thread that runs jobs one after another, and is replaced when a job takes too long or too much
 * memory. It starts with the first job.
 */
export function createJudgingThread<J extends ThreadJob>(
  options: JudgingThreadOptions<J>,
): JudgingThread {
  const { name, limitMs, take, putBack } = options;
  let worker: Worker | undefined;
  let wantsMore = false;
  let stopped = false;
  let lastId = 0;
  /** In the order in which the thread runs them. */
  let underWay: { readonly id: number; readonly job: J }[] = [];
  let begunAt = 0;
  let cpuMsAtBegin = 0;
  let timer: NodeJS.Timeout | undefined;

  function start(): void {
    const fresh = new Worker(moduleBeside(import.meta.url, 'schema-thread'), {
      name: `schemas-${name}`,
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 32 },
    });
    fresh.unref();
    worker = fresh;
    let isReady = false;
    fresh.on('message', (message: unknown) => {
      if (worker !== fresh || !isAnswer(message)) return;
      isReady = true;
      receive(message);
    });
    let reason: unknown = new Error('the thread ended');
    fresh.on('error', (error) => {
      reason = error;
    });
    fresh.on('exit', () => {
      if (worker !== fresh) return;
      if (!isReady) failAll(reason);
      else if (underWay.length === 0) drop();
      else replace(whyOf(reason), limitMs);
    });
  }

  function receive({ id, cpuMs, result }: Answer): void {
    if (id === WANTS_MORE) {
      const left = underWay.map(({ job }) => job);
      underWay = [];
      putBack(left);
      begin(cpuMs);
      wantsMore = true;
      fill();
      return;
    }
    const [first] = underWay;
    if (first?.id !== id) return;
    underWay.shift();
    const usedMs = cpuMs - cpuMsAtBegin;
    begin(cpuMs);
    first.job.settle({ kind: 'answered', result, cpuMs: usedMs });
  }

  function begin(cpuMs: number): void {
    begunAt = performance.now();
    cpuMsAtBegin = cpuMs;
  }

  function fill(): void {
    if (!wantsMore || stopped) return;
    let bytes = 0;
    while (underWay.length < MAX_BATCH && bytes < MAX_BATCH_BYTES) {
      const job = take();
      if (job === undefined) break;
      bytes += job.bytes;
      lastId += 1;
      underWay.push({ id: lastId, job });
    }
    if (underWay.length === 0) return;
    wantsMore = false;
    begunAt = performance.now();
    const batch: Question[] = underWay.map(({ id, job }) => ({ id, task: job.task }));
    worker?.postMessage(batch);
    timer ??= setTimeout(look, limitMs).unref();
  }

  /** Terminates the thread if its current job takes too long. */
  async function look(): Promise<void> {
    const [first] = underWay;
    const asked = worker;
    const before = cpuMsAtBegin;
    timer = undefined;
    if (first === undefined || asked === undefined) return;
    let waitMs = limitMs - (performance.now() - begunAt);
    if (waitMs <= 0) {
      const usedMs = (await cpuMsOf(asked)) - before;
      if (asked !== worker || stopped) return;
      if (underWay[0] === first) {
        const tookMs = performance.now() - begunAt;
        if (usedMs >= limitMs || tookMs >= MAX_TASK_MS) {
          replace(`took longer than ${limitMs} ms`, Math.min(usedMs, tookMs));
          return;
        }
        waitMs = limitMs - usedMs;
      }
    }
    if (underWay.length > 0) timer ??= setTimeout(look, Math.max(10, waitMs)).unref();
  }

  /** Replaces the thread. Its current job is the cause; the next thread runs the others. */
  function replace(why: string, cpuMs: number): void {
    const [first, ...others] = underWay;
    drop();
    putBack(others.map(({ job }) => job));
    if (!stopped) start();
    first?.job.settle({ kind: 'ended', why, cpuMs, by: name });
  }

  /** The thread did not start, which no job caused. The next job tries again. */
  function failAll(reason: unknown): void {
    drop();
    for (let job = take(); job !== undefined; job = take()) job.fail(reason);
  }

  function drop(): void {
    const dropped = worker;
    worker = undefined;
    wantsMore = false;
    underWay = [];
    clearTimeout(timer);
    timer = undefined;
    void dropped?.terminate();
  }

  return {
    wake() {
      if (stopped) return;
      if (worker === undefined) start();
      else fill();
    },
    async stop() {
      stopped = true;
      const last = worker;
      putBack(underWay.map(({ job }) => job));
      drop();
      await last?.terminate();
    },
  };
}

function whyOf(reason: unknown): string {
  return errorCode(reason) === 'ERR_WORKER_OUT_OF_MEMORY'
    ? 'took more memory than it may'
    : `ended its thread (${errorMessage(reason)})`;
}

/** Returns the CPU time of a thread; infinite if it has ended. */
async function cpuMsOf(thread: Worker): Promise<number> {
  try {
    const { user, system } = await thread.cpuUsage();
    return (user + system) / 1000;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
