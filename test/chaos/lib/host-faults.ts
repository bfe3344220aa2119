import type { Host, Slowness } from './hosts.ts';
import { during } from './processes.ts';
import type { Random } from './random.ts';

export const FAULTS = ['kill', 'power', 'cut', 'slow'] as const;
export type FaultKind = (typeof FAULTS)[number];

/** A host, and what may happen to it. */
export interface Victim {
  readonly host: Host;
  readonly kinds: readonly FaultKind[];
  /** Called before its processes end. */
  beforeEnd?(): void;
  /** Starts its processes again. */
  start?(): Promise<void>;
}

/** A fault that has ended. */
export interface Fault {
  readonly host: string;
  readonly kind: FaultKind;
  readonly from: number;
  readonly to: number;
}

export interface FaultOptions {
  readonly victims: readonly Victim[];
  readonly randoms: readonly Random[];
  readonly endAt: number;
  /** The longest time that a host stays away. */
  readonly mostAwayMs: number;
  /** The longest pause between two faults. */
  readonly mostPauseMs: number;
  readonly onFault: (fault: Fault) => void;
}

const LEAST_AWAY_MS = 500;
const SLOW: readonly Slowness[] = [
  { delayMs: 20, lossPercent: 1 },
  { delayMs: 100, lossPercent: 2 },
  { delayMs: 300, lossPercent: 10 },
];

/**
 * Lets faults happen until the time is over, and mends all hosts. There is a sequence of faults for each source of
 * choices: each makes one fault after the other.
 */
export async function makeFaults(options: FaultOptions): Promise<void> {
  const atFault = new Set<string>();
  await Promise.all(options.randoms.map((random) => makeSequence(options, random, atFault)));
}

async function makeSequence(
  { victims, endAt, mostAwayMs, mostPauseMs, onFault }: FaultOptions,
  random: Random,
  atFault: Set<string>,
): Promise<void> {
  while (Date.now() < endAt) {
    await during(random.between(LEAST_AWAY_MS, mostPauseMs));
    const victim = random.pick(victims);
    const kind = random.pick(victim.kinds);
    const awayMs = random.between(LEAST_AWAY_MS, mostAwayMs);
    const { host } = victim;
    if (atFault.has(host.name)) continue;
    atFault.add(host.name);
    const from = Date.now();
    if (kind === 'slow') host.slow(random.pick(SLOW));
    else if (kind === 'cut') host.cutOff();
    else {
      victim.beforeEnd?.();
      if (kind === 'kill') host.killProcesses();
      else host.powerOff();
    }
    await during(awayMs);
    if (kind === 'slow' || kind === 'cut') host.mend();
    if (kind === 'power') host.powerOn();
    // Others may be at fault meanwhile, so that it is up only later.
    const isUp = kind === 'kill' || kind === 'power' ? victim.start?.() : undefined;
    atFault.delete(host.name);
    await Promise.race([isUp, during(10_000)]);
    onFault({ host: host.name, kind, from, to: Date.now() });
  }
}
