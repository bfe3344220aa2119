import { Worker } from 'node:worker_threads';
import type { ErrorObject } from 'ajv';
import { errorMessage } from '../lib/errors.ts';

/** For the thread: whether data (a JSON text; null: none) fit a schema (a JSON text). */
export interface Question {
  readonly schema: string;
  readonly data: string | null;
}

/** What is wrong with the schema or with judging by it, or what is wrong with the data. */
export interface Verdict {
  readonly problem: string | null;
  readonly errors: readonly ErrorObject[];
}

/** More are asked than can be answered: the caller should come back later. */
export class TooManyQuestionsError extends Error {
  override readonly name = 'TooManyQuestionsError';
}

export interface SchemaJudge {
  /**
   * Judges whether data fit a JSON Schema (draft 2020-12).
   *
   * @throws TooManyQuestionsError when too many are waiting.
   */
  judge(schema: string, data: string | null): Promise<Verdict>;
  stop(): Promise<void>;
}

export interface SchemaJudgeOptions {
  /** What one judgement may take. */
  readonly timeLimitMs?: number;
}

const TIME_LIMIT_MS = 1_000;
/** The limit is of the thread's own time; on a machine that is busy with other things it may take so much longer. */
const MAX_STRETCH = 10;
/** A schema that took longer is not tried again for so long, or one tenant could have the thread. */
const SLOW_FOR_MS = 60_000;
const MAX_WAITING = 1_000;
const MAX_SLOW = 1_000;

interface Asked {
  readonly question: Question;
  readonly resolve: (verdict: Verdict) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Judges data by schemas that other people write. A schema can have a regular expression that never
 * ends, or parts that multiply, so this runs in a thread of its own, which is ended when one
 * judgement takes too long or too much memory. Nothing runs until somebody asks.
 */
export function createSchemaJudge({
  timeLimitMs = TIME_LIMIT_MS,
}: SchemaJudgeOptions = {}): SchemaJudge {
  const slow = new Map<string, number>();
  // In the order in which the thread answers.
  let waiting: Asked[] = [];
  let thread: Worker | undefined;
  let ready = false;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  function start(): void {
    const fresh = new Worker(new URL('./schema-thread.ts', import.meta.url), {
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 32 },
    });
    fresh.unref();
    thread = fresh;
    ready = false;
    fresh.on('message', (message: Verdict | 'ready') => {
      if (thread !== fresh) return;
      if (message === 'ready') {
        ready = true;
        for (const { question } of waiting) fresh.postMessage(question);
      } else {
        waiting.shift()?.resolve(message);
      }
      watch();
    });
    let reason: unknown = new Error('it ended');
    fresh.on('error', (error) => {
      reason = error;
    });
    fresh.on('exit', () => {
      if (thread === fresh) lose(`took more memory than it may (${errorMessage(reason)})`, reason);
    });
  }

  /** The thread is gone, or is to be: whatever was under way is why. */
  function lose(what: string, reason: unknown): void {
    const lost = thread;
    const wasReady = ready;
    thread = undefined;
    clearTimeout(timer);
    void lost?.terminate();
    if (!wasReady) {
      for (const { reject } of waiting) reject(reason);
      waiting = [];
      return;
    }
    const first = waiting.shift();
    if (first !== undefined) {
      if (slow.size >= MAX_SLOW) slow.delete(slow.keys().next().value as string);
      slow.set(first.question.schema, performance.now() + SLOW_FOR_MS);
      first.resolve(tooMuch(what));
    }
    if (waiting.length > 0 && !stopped) start();
  }

  function watch(): void {
    clearTimeout(timer);
    if (waiting.length === 0) {
      thread?.unref();
      return;
    }
    thread?.ref();
    if (!ready) return;
    const [first] = waiting;
    const asked = thread;
    const since = performance.now();
    const before = cpuMsOf(asked);
    const look = async () => {
      const usedMs = (await cpuMsOf(asked)) - (await before);
      if (waiting[0] !== first || thread !== asked) return;
      const tookMs = performance.now() - since;
      if (usedMs < timeLimitMs && tookMs < MAX_STRETCH * timeLimitMs)
        timer = setTimeout(look, Math.max(10, timeLimitMs - usedMs));
      else lose(`took longer than ${timeLimitMs} ms`, new Error('too slow'));
    };
    timer = setTimeout(look, timeLimitMs);
  }

  return {
    async judge(schema, data) {
      const slowUntil = slow.get(schema);
      if (slowUntil !== undefined) {
        if (slowUntil > performance.now()) return tooMuch('took too long a moment ago');
        slow.delete(schema);
      }
      if (stopped || waiting.length >= MAX_WAITING)
        throw new TooManyQuestionsError('More data are to be validated than can be');
      return await new Promise<Verdict>((resolve, reject) => {
        const question = { schema, data };
        waiting.push({ question, resolve, reject });
        if (thread === undefined) start();
        else if (ready) thread.postMessage(question);
        if (waiting.length === 1) watch();
      });
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      const last = thread;
      thread = undefined;
      for (const { reject } of waiting)
        reject(new TooManyQuestionsError('The service is stopping'));
      waiting = [];
      await last?.terminate();
    },
  };
}

function tooMuch(what: string): Verdict {
  return { problem: `judging by it ${what}; simplify it`, errors: [] };
}

/** What a thread has used of a core; infinite for one that has ended. */
async function cpuMsOf(thread: Worker | undefined): Promise<number> {
  try {
    const { user = 0, system = 0 } = (await thread?.cpuUsage()) ?? {};
    return (user + system) / 1000;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
