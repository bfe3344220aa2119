import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { latencyChart, throughputChart } from './charts.ts';
import { judgeTargets, type Results, type Summary, summarise } from './results.ts';
import { cellsOf, FLOOR_HEAD, floorCells, HEAD } from './tables.ts';

/**
 * Writes docs/performance.md and its charts from the results of a run. The text is in page.md beside
 * this file. It replaces `{{targets}}`, `{{machine}}`, `{{remarks}}`, `{{floors}}`, `{{table <scenario>}}`,
 * `{{notes <scenario>}}`, `{{throughput <scenario>}}` and `{{latency <scenario>}}`. With `<scenario>: <end>`,
 * only sides are shown whose name ends so.
 */
export async function writePerformancePage(root: string, results: Results): Promise<void> {
  const template = await readFile(join(import.meta.dirname, 'page.md'), 'utf8');
  const rows = summarise(results.measurements);
  const charts = new Map<string, string>();
  const page = template.replaceAll(/\{\{(\w+)(?: ([^}]+))?\}\}/g, (_, what: string, name = '') => {
    const [scenario = '', end = ''] = name.split(': ');
    const own = rows.filter((row) => row.scenario === scenario && row.side.endsWith(end));
    switch (what) {
      case 'machine':
        return machineOf(results);
      case 'remarks':
        return results.remarks ?? '';
      case 'targets':
        return targetsOf(results);
      case 'floors': {
        const cells = floorCells(rows);
        return cells.length === 0 ? '' : markdownTable(FLOOR_HEAD, cells);
      }
      case 'table':
        return own.length === 0 ? '(not measured in this run)' : tableOf(own);
      case 'notes':
        return notesOf(own);
      case 'throughput':
      case 'latency': {
        if (own.length === 0) return '';
        const file = `${what}-${scenario.replaceAll(' ', '-')}.svg`;
        charts.set(
          file,
          what === 'latency' ? latencyChart(scenario, own) : throughputChart(scenario, own),
        );
        return `![${scenario}](performance/${file})`;
      }
      default:
        throw new Error(`page.md has {{${what}}}, which is unknown`);
    }
  });
  const dir = join(root, 'docs', 'performance');
  // Charts that the page no longer shows go.
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir, { recursive: true });
  for (const [file, svg] of charts) await writeFile(join(dir, file), svg);
  await writeFile(join(root, 'docs', 'performance.md'), page);
}

function machineOf({ at, machine, versions, seconds, rounds, note }: Results): string {
  return `Measured on ${at.slice(0, 10)}: ${machine}. Posthorn ${versions.posthorn}, Node ${versions.node}, Postgres ${versions.postgres}. ${rounds} rounds of ${seconds} s for each side, in turn; the tables show medians, and ± half the distance between the lowest and the highest round.${note === undefined ? '' : ` ${note}`}`;
}

function targetsOf(results: Results): string {
  return markdownTable(
    ['target', 'this run', ''],
    judgeTargets(results).map(({ target, figure, met }) => [
      target,
      figure,
      met ? 'met' : '**missed**',
    ]),
  );
}

function tableOf(rows: readonly Summary[]): string {
  const cells = rows.map(cellsOf);
  // Columns without a figure in this scenario are left out.
  const shown = HEAD.map((_, at) => at).filter((at) => cells.some((row) => row[at] !== ''));
  return markdownTable(
    shown.map((at) => HEAD[at] ?? ''),
    cells.map((row) => shown.map((at) => row[at] ?? '')),
  );
}

function notesOf(rows: readonly Summary[]): string {
  return rows
    .flatMap(({ side, note }) => (note === null ? [] : [`- *${side}*: ${note}.`]))
    .join('\n');
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const align = head.map((_, at) => (at === 0 ? '---' : '---:'));
  return [line(head), line(align), ...rows.map(line)].join('\n');
}
