import type { ErrorObject } from 'ajv';
import type { DescribedEventType } from './openapi.ts';

/** What the thread is asked to do. Schemas, data and documents are JSON texts. */
export type Task =
  | {
      readonly kind: 'judge';
      readonly tenant: string;
      readonly schema: string;
      /** Null: judge the schema alone. */
      readonly data: string | null;
    }
  | { readonly kind: 'read-document'; readonly document: string };

/** What is wrong with the schema or with judging by it, or what is wrong with the data. */
export interface Verdict {
  readonly problem: string | null;
  readonly errors: readonly ErrorObject[];
}

/** The event types of an OpenAPI document, or why it could not be read. */
export type Reading =
  | { readonly types: readonly DescribedEventType[] }
  | { readonly notJson: string }
  | { readonly place: string; readonly message: string };

export interface Question {
  /** From 1 on, different for each. */
  readonly id: number;
  readonly task: Task;
}

/**
 * From the thread: an answer, or with the id 0 that it wants to be asked, because it is ready or gives
 * back the questions of the last batch that it has not answered.
 */
export interface Answer {
  readonly id: number;
  /** What the thread has used of a core since its start. */
  readonly cpuMs: number;
  readonly result?: Verdict | Reading;
}

export const WANTS_MORE = 0;

/** Whether a message is the thread's own: `node --watch` lets threads send others. */
export function isAnswer(message: unknown): message is Answer {
  return typeof (message as { id?: unknown } | null)?.id === 'number';
}
