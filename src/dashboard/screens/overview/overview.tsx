import { useMemo } from 'preact/hooks';
import { getQueueStats, getStatsSeries } from '../../api/client.ts';
import { Show } from '../../components/states.tsx';
import { useData } from '../../data/use-data.ts';
import { useUrl } from '../../data/use-url.ts';
import { formatTime } from '../../lib/format.ts';
import { withQuery } from '../../lib/urls.ts';
import { Failing } from './failing.tsx';
import { FirstSteps } from './first-steps.tsx';
import { Queue } from './queue.tsx';
import { Series } from './series.tsx';

const WINDOWS = ['1h', '24h', '7d', '30d'] as const;
/** Counts come once a minute. */
const COUNTS_EVERY_MS = 20_000;
const QUEUE_EVERY_MS = 5_000;

/** Is everything well? What happened in the window, what waits now, and which receivers fail. */
export function Overview() {
  const { query, path } = useUrl();
  const window = WINDOWS.find((name) => name === query.window) ?? '1h';
  const series = useData((signal) => getStatsSeries({ window }, { signal }), [window], {
    everyMs: COUNTS_EVERY_MS,
    keep: true,
  });
  const queue = useData((signal) => getQueueStats({}, { signal }), [], {
    everyMs: QUEUE_EVERY_MS,
  });
  const countedUntil = useMemo(
    () => series.data && formatTime(new Date(series.data.counted_until), new Date()),
    [series.data],
  );
  return (
    <>
      <div class="screen-head">
        <h1>Overview</h1>
        <span class="muted">{countedUntil && `Counted until ${countedUntil}`}</span>
        <nav class="tabs" aria-label="Window">
          {WINDOWS.map((name) => (
            <a
              key={name}
              href={withQuery(`${path}${location.search}`, {
                window: name === '1h' ? undefined : name,
              })}
              aria-current={name === window ? 'true' : undefined}
            >
              {name}
            </a>
          ))}
        </nav>
      </div>
      <FirstSteps />
      <div class="overview">
        <Show loaded={series}>{(data) => <Series data={data} />}</Show>
        <div class="halves">
          <section class="panel" aria-labelledby="queue-title">
            <h2 id="queue-title">Waiting now</h2>
            <Show loaded={queue}>{(data) => <Queue data={data} />}</Show>
          </section>
          <section class="panel" aria-labelledby="failing-title">
            <h2 id="failing-title">Subscriptions that fail</h2>
            <Failing />
          </section>
        </div>
      </div>
    </>
  );
}
