/** The ports to which deliveries may go. */
export interface Ports {
  contains(port: number): boolean;
  /** The ports as text for messages: `80, 443, 9000-9100`. */
  readonly text: string;
}

/** The ports of http and https, which are always allowed. */
const ALWAYS = ['80', '443'];
const HIGHEST = 65_535;

/**
 * Reads a comma-separated list of ports and ranges that are allowed in addition to 80 and 443; `*` allows all.
 *
 * @example parsePorts('8080,9000-9100').contains(9001) // true
 * @throws Error naming the entry that is not valid.
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

/** Returns the port of a URL, or the default port of its scheme. */
export function portOf({ protocol, port }: { protocol: string; port: string }): number {
  if (port !== '') return Number(port);
  return protocol === 'https:' ? 443 : 80;
}
