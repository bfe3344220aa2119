import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Case } from './cases.ts';

/** The final status that each client reads of a case, or 0 where it reads none. */
export interface Recorded {
  /** Hash of the raw answer. A case whose answer has changed must be recorded again. */
  readonly raw: string;
  readonly curl: number;
  readonly go: number;
  readonly python: number;
  readonly undici: number;
  readonly node: number;
}

export interface Verdicts {
  readonly judges: readonly string[];
  readonly cases: Readonly<Record<string, Recorded>>;
}

export function readVerdicts(): Verdicts {
  return JSON.parse(readFileSync(join(import.meta.dirname, 'verdicts.json'), 'utf8'));
}

export function rawHash({ raw, then }: Case): string {
  return createHash('sha256').update(`${then} ${raw}`).digest('hex').slice(0, 8);
}
