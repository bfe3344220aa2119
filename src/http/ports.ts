/** Ports that deliveries go to. */
export interface Ports {
  contains(port: number): boolean;
  /** For sentences: `80, 443, 9000-9100`. */
  readonly text: string;
}

/** The ports of http and https, which are always open. */
const ALWAYS = ['80', '443'];
const HIGHEST = 65_535;

/**
 * Reads a comma-separated list of ports and of ranges, which are open besides 80 and 443; `*` is all
 * of them.
 *
 * @example parsePorts('8080,9000-9100').contains(9001) // true
 * @throws Error naming the entry that is neither.
 */
export function parsePorts(text: string): Ports {
  const entries = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const ranges = [...ALWAYS, ...entries].map(parseRange);
  return {
    contains: (port) => ranges.some(([first, last]) => first <= port && port <= last),
    text: [...new Set([...ALWAYS, ...entries])].join(', '),
  };
}

function parseRange(entry: string): [first: number, last: number] {
  if (entry === '*') return [1, HIGHEST];
  const [, from = '', to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(entry) ?? [];
  const [first, last] = [Number(from), Number(to)];
  if (first < 1 || last < first || last > HIGHEST)
    throw new Error(`"${entry}" is not a port or a range; write 8080, 9000-9100 or *`);
  return [first, last];
}

/** The port that a URL leads to, said or not. */
export function portOf({ protocol, port }: { protocol: string; port: string }): number {
  if (port !== '') return Number(port);
  return protocol === 'https:' ? 443 : 80;
}
