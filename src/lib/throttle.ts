/**
 * Wraps a report so that it is made at most once in `everyMs`, with the number of calls that it stands for. An
 * outage then costs a line a second instead of a line a request.
 *
 * @param now a monotonic clock in milliseconds.
 */
export function throttle<T>(
  everyMs: number,
  report: (latest: T, times: number) => void,
  now: () => number = () => performance.now(),
): (latest: T) => void {
  let nextAt = Number.NEGATIVE_INFINITY;
  let times = 0;
  return (latest) => {
    times += 1;
    if (now() < nextAt) return;
    nextAt = now() + everyMs;
    report(latest, times);
    times = 0;
  };
}
