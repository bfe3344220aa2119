import type { ErrorObject } from 'ajv';
import type { DescribedEventType } from './openapi.ts';

/** A task for the thread. Schemas, data and documents are JSON texts. */
export type Task =
  | {
      readonly kind: 'judge';
      readonly tenant: string;
      readonly schema: string;
      /** Null: check only the schema. */
      readonly data: string | null;
    }
  | { readonly kind: 'read-document'; readonly document: string };

/** The problem with the schema, or the errors in the data. */
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
  /** Unique, counted from 1. */
  readonly id: number;
  readonly task: Task;
}

/**
 * A message from the thread: an answer, or, with the id 0, a request for tasks, because the thread is ready or
 * gives back the unanswered tasks of the last batch.
 */
export interface Answer {
  readonly id: number;
  /** The CPU time of the thread since its start. */
  readonly cpuMs: number;
  readonly result?: Verdict | Reading;
}

export const WANTS_MORE = 0;

/** Returns true for messages of this protocol: `node --watch` makes threads send others. */
export function isAnswer(message: unknown): message is Answer {
  return typeof (message as { id?: unknown } | null)?.id === 'number';
}
