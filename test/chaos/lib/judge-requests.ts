// Laws of order and rate, judged from what a receiver recorded of requests from several hosts.
import type { RecordedRequest } from './recording-receiver.ts';

/**
 * A request that took so long from its beginning to its arrival was on its way when its host was cut off or ended. It
 * may come late, after others have taken over: see "Losing ownership" in docs/architecture.md. (Its beginning is known
 * to the second.)
 */
const LATE_MS = 3_000;
const WINDOW_S = 5;

/** How much the clock of each host is ahead of the receiver's, in seconds, by its address. */
export type ClockOffsets = Readonly<Record<string, number>>;

export interface OrderJudgement {
  readonly violations: readonly string[];
  /** Requests that came late from a host that was cut off or had ended, and are not judged. */
  readonly late: number;
}

/**
 * Judges strict order: of one path and key, no webhook may come before the one before it has been answered with
 * success, or after a later one.
 */
export function judgeOrder(
  requests: readonly RecordedRequest[],
  offsets: ClockOffsets,
): OrderJudgement {
  const violations: string[] = [];
  let late = 0;
  for (const [key, ofKey] of Map.groupBy(requests, ({ path, key }) => `${path} ${key}`)) {
    const succeededAt = new Map<number, number>();
    for (const { n, status, answeredAt } of ofKey) {
      if (status !== 200 || answeredAt === null) continue;
      succeededAt.set(n, Math.min(answeredAt, succeededAt.get(n) ?? answeredAt));
    }
    let latest = 0;
    for (const request of ofKey.toSorted((a, b) => a.arrivedAt - b.arrivedAt)) {
      const { n, arrivedAt, answeredAt, from } = request;
      if (answeredAt === null || arrivedAt - begunAt(request, offsets) > LATE_MS) {
        late += 1;
        continue;
      }
      if (n < latest) violations.push(`${key}: ${n} came after ${latest}, from ${from}`);
      const before = succeededAt.get(n - 1);
      if (n > 1 && (before === undefined || before > arrivedAt))
        violations.push(`${key}: ${n} came before ${n - 1} had ended, from ${from}`);
      latest = Math.max(latest, n);
    }
  }
  return { violations, late };
}

/** Returns the most requests that were begun within five seconds, for one path. */
export function mostInWindow(
  requests: readonly RecordedRequest[],
  offsets: ClockOffsets,
): { readonly requests: number; readonly seconds: number } {
  let most = 0;
  for (const ofPath of Map.groupBy(requests, ({ path }) => path).values()) {
    const perSecond = new Map<number, number>();
    for (const request of ofPath) {
      const second = begunAt(request, offsets) / 1_000;
      perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
    }
    for (const first of perSecond.keys()) {
      let sum = 0;
      for (let second = first; second < first + WINDOW_S; second++)
        sum += perSecond.get(second) ?? 0;
      most = Math.max(most, sum);
    }
  }
  return { requests: most, seconds: WINDOW_S };
}

/** Returns how far the busiest and the idlest of some hosts are from an even share, as a part of that share. */
export function unevenness(counts: readonly number[]): number {
  const even = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return Math.max(...counts.map((count) => Math.abs(count / even - 1)));
}

function begunAt({ timestamp, from }: RecordedRequest, offsets: ClockOffsets): number {
  return (timestamp - (offsets[from] ?? 0)) * 1_000;
}
