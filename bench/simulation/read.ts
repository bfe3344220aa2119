import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Simulated } from './runs.ts';

export const SIMULATED = join(import.meta.dirname, 'figures.json');

export function readSimulated(): Simulated {
  return JSON.parse(readFileSync(SIMULATED, 'utf8'));
}
