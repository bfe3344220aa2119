import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { OperatorError } from '../lib/errors.ts';
import { call, callsService, idArgument, type Target } from './call.ts';
import { EXIT } from './exit-codes.ts';
import { dim, print, safe, table, time } from './output.ts';

const WINDOWS = ['1h', '24h', '7d', '30d'];
const WATCH_MS = 2_000;
const BARS = '▁▂▃▄▅▆▇█';
/** Moves to the top left corner and clears what is below, without a blank moment in between. */
const HOME = '\u001b[H';
const CLEAR_BELOW = '\u001b[J';

interface Counts {
  readonly accepted: number;
  readonly attempts: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly success_rate: number | null;
  readonly attempt_latency_ms: {
    readonly p50: number | null;
    readonly p95: number | null;
    readonly p99: number | null;
  };
}

interface Series {
  readonly total: Counts;
  readonly points: readonly (Counts & { readonly at: string })[];
}

interface Queue {
  readonly due: number;
  readonly due_more: boolean;
  readonly oldest_due_at: string | null;
  readonly held: Readonly<Record<string, number>>;
  readonly workers: number;
}

interface StatsOptions extends Target {
  readonly window: string;
  readonly subscription?: number;
  readonly watch?: boolean;
}

/** `posthorn stats`: shows what was accepted, delivered and failed, and what waits. */
export function statsCommand(): Command {
  const command = new Command('stats')
    .description('show what was accepted, delivered and failed, and what waits')
    .option('--window <window>', `the time up to now: ${WINDOWS.join(', ')}`, '1h')
    .option(
      '--subscription <id>',
      'only this subscription',
      idArgument('subscription', 'the id of a subscription'),
    )
    .option('--watch', 'show it anew every two seconds, until Ctrl-C')
    .addHelpText(
      'after',
      `
Examples:
  $ posthorn stats
  $ posthorn stats --window 24h --subscription 7
  $ posthorn stats --watch`,
    )
    .action(stats);
  return callsService(command, 'read');
}

async function stats(options: StatsOptions): Promise<void> {
  if (!WINDOWS.includes(options.window))
    throw new OperatorError(`--window is "${options.window}"; give ${WINDOWS.join(', ')}.`, {
      exitCode: EXIT.usage,
    });
  if (!options.watch) return print(await read(options));
  if (process.stdout.isTTY) process.stdout.write('\u001b[2J');
  for (;;) {
    const text = await read(options);
    // Each line ends with what was there before, so that nothing flickers.
    if (process.stdout.isTTY && !options.json)
      process.stdout.write(`${HOME}${text.replaceAll('\n', '\u001b[K\n')}\n${CLEAR_BELOW}`);
    else print(text);
    await sleep(WATCH_MS);
  }
}

async function read({ window, subscription, watch, ...target }: StatsOptions): Promise<string> {
  const [series, queue] = await Promise.all([
    call<Series>(target, {
      method: 'GET',
      path: '/v1/stats/series',
      query: { window, subscription_id: subscription },
    }),
    call<Queue>(target, { method: 'GET', path: '/v1/stats/queue' }),
  ]);
  if (target.json) return JSON.stringify({ series, queue }, null, watch ? undefined : 2);
  const { total, points } = series;
  const { p50, p95, p99 } = total.attempt_latency_ms;
  const ms = (value: number | null) => (value === null ? '–' : `${Math.round(value)} ms`);
  const held = Object.entries(queue.held).filter(([, n]) => n > 0);
  return [
    dim(`the last ${window}`),
    table([
      ['accepted', String(total.accepted), sparkline(points.map(({ accepted }) => accepted))],
      [
        'attempts succeeded',
        String(total.succeeded),
        sparkline(points.map(({ succeeded }) => succeeded)),
      ],
      ['attempts failed', String(total.failed), sparkline(points.map(({ failed }) => failed))],
      [
        'success rate',
        total.success_rate === null ? '–' : `${(total.success_rate * 100).toFixed(1)} %`,
        '',
      ],
      ['duration p50, p95, p99', `${ms(p50)}, ${ms(p95)}, ${ms(p99)}`, ''],
    ]),
    '',
    dim('now'),
    table([
      ['due', `${queue.due}${queue.due_more ? ' or more' : ''}`],
      ['oldest due', time(queue.oldest_due_at, '–')],
      [
        'held',
        held.length === 0
          ? '0'
          : held.map(([why, n]) => `${n} ${safe(why).replaceAll('_', ' ')}`).join(', '),
      ],
      ['workers alive', String(queue.workers)],
    ]),
  ].join('\n');
}

/** Draws numbers as a line of bars, at most 60 of them. */
export function sparkline(values: readonly number[]): string {
  const shown = values.slice(-60);
  const most = Math.max(...shown, 0);
  if (most === 0) return '';
  return shown
    .map(
      (value) =>
        BARS[Math.min(BARS.length - 1, Math.ceil((value / most) * BARS.length) - 1)] ?? ' ',
    )
    .join('');
}
