import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Results } from '../report/results.ts';
import { readSimulated } from '../simulation/read.ts';
import { simulationTables } from '../simulation/tables.ts';
import { fitCosts } from './costs.ts';
import { renderTables } from './tables.ts';

const ROOT = join(import.meta.dirname, '..', '..');
export const PAGE = join(ROOT, 'docs', 'scaling.md');
/** The run that the page's text speaks of. */
const RUN = join(ROOT, 'bench', 'results', '2026-11-27.json');

export function readRun(): Results {
  return JSON.parse(readFileSync(RUN, 'utf8'));
}

/** Returns the page with each table between `<!-- table: name -->` and `<!-- end -->` as the models have it now. */
export function withTables(page: string, results: Results): string {
  const tables: Readonly<Record<string, string>> = {
    ...renderTables(results),
    ...simulationTables(readSimulated(), fitCosts(results)),
  };
  const rest = new Set(Object.keys(tables));
  const written = page.replaceAll(
    /<!-- table: (\w+) -->\n[\s\S]*?<!-- end -->/g,
    (_all, name: string) => {
      const table = tables[name];
      if (table === undefined) throw new Error(`docs/scaling.md: there is no table ${name}`);
      rest.delete(name);
      return `<!-- table: ${name} -->\n\n${table}\n\n<!-- end -->`;
    },
  );
  if (rest.size > 0) throw new Error(`docs/scaling.md lacks the tables ${[...rest].join(', ')}`);
  return written;
}

export function writePage(): void {
  writeFileSync(PAGE, withTables(readFileSync(PAGE, 'utf8'), readRun()));
}
