import { getStatsSeries } from '../../api/client.ts';
import { Bars, sayCounts } from '../../components/bars.tsx';
import { Show } from '../../components/states.tsx';
import { Tabs } from '../../components/tabs.tsx';
import { Time } from '../../components/time.tsx';
import { useData } from '../../data/use-data.ts';
import { useUrl } from '../../data/use-url.ts';
import { to } from '../../lib/urls.ts';

const REFRESH_MS = 30_000;
const WINDOWS = { '1h': '1 hour', '24h': '24 hours', '7d': '7 days', '30d': '30 days' } as const;
type Window = keyof typeof WINDOWS;

/** The attempts of a subscription over time. */
export function Activity({ id }: { id: number }) {
  const { query } = useUrl();
  const window =
    query.window !== undefined && query.window in WINDOWS ? (query.window as Window) : '24h';
  const series = useData(
    (signal) => getStatsSeries({ window, subscription_id: id }, { signal }),
    [id, window],
    { everyMs: REFRESH_MS, keep: true },
  );
  return (
    <section class="section">
      <div class="section-head">
        <h2>Attempts</h2>
        <Tabs label="Window" name="window" choices={WINDOWS} standard="24h" current={window} />
        <a href={to('webhooks', { subscription_id: id })}>Its webhooks</a>
      </div>
      <div class="panel activity">
        <Show loaded={series}>
          {({ points, period, counted_until }) => (
            <>
              <Bars bars={points} label={`Attempts, each bar ${period}`} large />
              <p class="second spread">
                <span>
                  {sayCounts(points)}; each bar: {period}
                </span>
                <span>
                  counted until <Time at={counted_until} />
                </span>
              </p>
            </>
          )}
        </Show>
      </div>
    </section>
  );
}
