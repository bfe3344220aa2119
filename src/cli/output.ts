import { styleText } from 'node:util';
import type { Target } from './call.ts';

/** What a state looks like on a terminal; elsewhere, and with NO_COLOR, it is plain. */
const COLOURS: Readonly<Record<string, Parameters<typeof styleText>[0]>> = {
  succeeded: 'green',
  success: 'green',
  active: 'green',
  ok: 'green',
  failed: 'red',
  timeout: 'red',
  blocked: 'red',
  disabled: 'red',
  problem: 'red',
  held: 'yellow',
  paused: 'yellow',
  warning: 'yellow',
  pending: 'cyan',
};

/** Colours a state, if standard output is a terminal. */
export function coloured(state: string, text = state): string {
  const colour = COLOURS[state];
  return colour === undefined ? text : styleText(colour, text, { stream: process.stdout });
}

export function dim(text: string): string {
  return styleText('dim', text, { stream: process.stdout });
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Prints an answer: as JSON if the command was asked to, else as `text` makes it. */
export function printAnswer<Answer>(
  { json }: Target,
  answer: Answer,
  text: (answer: Answer) => string,
): void {
  print(json ? JSON.stringify(answer, null, 2) : text(answer));
}

/** Lays out rows as columns. The first row is the head. Colours do not count as width. */
export function table(rows: readonly (readonly string[])[]): string {
  const [head = []] = rows;
  const width = (text: string) => text.replace(ESCAPES, '').length;
  const widths = head.map((_, column) => Math.max(...rows.map((row) => width(row[column] ?? ''))));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - width(cell)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours of a terminal begin with ESC
const ESCAPES = /\u001b\[[0-9;]*m/g;

/**
 * Makes text of users and receivers safe to print: without control characters, with which it could change what the
 * terminal shows, or its settings.
 */
export function safe(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it removes
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
}

/** Writes a time as people of this machine read it. */
export function time(iso: string | null, none = ''): string {
  if (iso === null) return none;
  const at = new Date(iso);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}
