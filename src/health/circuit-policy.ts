import { formatDuration, parseDuration } from '../lib/duration.ts';

/** Says when a subscription's circuit opens, and how often an open one is probed. */
export interface CircuitPolicy {
  /** Failed attempts in a row that open it, where the receiver did not answer or had an error of its own, … */
  readonly failures: number;
  /** … over at least this time, so that a receiver which restarts does not count as down. */
  readonly overMs: number;
  /** Until the first probe; twice as long after each that fails, up to `maxMs`. */
  readonly probeMs: number;
  readonly maxMs: number;
}

/** The policy where none is set. */
export const DEFAULT_CIRCUIT = 'failures=10,over=5s,probe=5s,max=5m';
const DEFAULTS = { failures: '10', over: '5s', probe: '5s', max: '5m' };
type Name = keyof typeof DEFAULTS;
const NAMES = Object.keys(DEFAULTS);
const MAX_MS = 86_400_000;

/**
 * Reads a circuit policy: `failures=10,over=5s,probe=5s,max=5m`, each part optional, or `off`.
 *
 * @returns null when circuits never open.
 * @throws Error that says which part is wrong and what would be right.
 */
export function parseCircuitPolicy(text: string): CircuitPolicy | null {
  const trimmed = text.trim();
  if (trimmed === 'off') return null;
  const given: Record<Name, string> = { ...DEFAULTS };
  for (const pair of trimmed.split(',')) {
    const [name = '', value] = pair.split('=').map((part) => part.trim());
    if (!NAMES.includes(name) || value === undefined)
      throw new Error(`write ${DEFAULT_CIRCUIT}, or off, not "${pair.trim()}"`);
    given[name as Name] = value;
  }
  const failures = Number(given.failures);
  if (!Number.isInteger(failures) || failures < 1 || failures > 1_000)
    throw new Error('failures must be a whole number from 1 to 1000');
  const policy = {
    failures,
    overMs: upToADay('over', given.over, 0),
    probeMs: upToADay('probe', given.probe, 100),
    maxMs: upToADay('max', given.max, 100),
  };
  if (policy.maxMs < policy.probeMs) throw new Error('max must not be shorter than probe');
  return Object.freeze(policy);
}

export const DEFAULT_CIRCUIT_POLICY = parseCircuitPolicy(DEFAULT_CIRCUIT) as CircuitPolicy;

function upToADay(name: Name, text: string, minMs: number): number {
  const durationMs = parseDuration(text);
  if (durationMs < minMs || durationMs > MAX_MS)
    throw new Error(`${name} must be ${formatDuration(minMs)} to ${formatDuration(MAX_MS)}`);
  return durationMs;
}
