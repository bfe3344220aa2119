import { type ListProblemsData, listProblems, type ReceiverProblem } from '../../api/client.ts';
import { Empty, Show } from '../../components/states.tsx';
import { PageButtons } from '../../components/table.tsx';
import { Tabs } from '../../components/tabs.tsx';
import { Time } from '../../components/time.tsx';
import { usePages } from '../../data/use-pages.ts';
import { useUrl } from '../../data/use-url.ts';
import { countOf, formatCount } from '../../lib/format.ts';
import { receiverOf } from '../../lib/receiver.ts';
import { to } from '../../lib/urls.ts';
import { may } from '../../session.ts';
import { NextStep } from './next-step.tsx';

const REFRESH_MS = 10_000;
const WINDOWS = { '1h': '1 hour', '6h': '6 hours', '24h': '24 hours', '7d': '7 days' } as const;
type Window = keyof typeof WINDOWS;

/** What is wrong with receivers: failures by subscription and cause, each with its one next step. */
export function Problems() {
  const { query } = useUrl();
  const window =
    query.window !== undefined && query.window in WINDOWS ? (query.window as Window) : '24h';
  const pages = usePages<ReceiverProblem>(
    (page, signal) => listProblems({ ...page, window }, { signal }),
    [window],
    { everyMs: REFRESH_MS },
  );
  const complete = (pages.data as ListProblemsData | undefined)?.complete_since;
  return (
    <>
      <div class="screen-head">
        <h1>Problems</h1>
        <Tabs
          label="Failures of the last"
          name="window"
          choices={WINDOWS}
          standard="24h"
          current={window}
        />
      </div>
      {complete !== undefined && (
        <div class="notice">
          <p>
            There are very many failures: all since <Time at={complete} /> were read, and some of
            the older ones. The counts are the least that there are.
          </p>
        </div>
      )}
      <Show loaded={pages}>
        {({ data }) => (
          <>
            {data.length === 0 ? (
              <Empty title="No receiver has a problem">
                <p>
                  Every delivery that failed in the last {WINDOWS[window]} was delivered since.
                  Attempts that fail appear here within seconds, by subscription and cause.
                </p>
              </Empty>
            ) : (
              <ul class="problems">
                {data.map((problem) => (
                  <Problem key={problem.id} problem={problem} reload={pages.reload} />
                ))}
              </ul>
            )}
            <PageButtons pages={pages} />
          </>
        )}
      </Show>
    </>
  );
}

function Problem({ problem, reload }: { problem: ReceiverProblem; reload: () => void }) {
  const { subscription_id, subscription_url, sentence, error, since, last_at } = problem;
  const { attempts, waiting, failed, held, held_more } = problem;
  // An answer is told by its status; of other errors, such as those of TLS, the text says more than the cause.
  const saysMore = error !== null && problem.response_code === null && problem.cause !== 'gone';
  return (
    <li class="panel">
      <div>
        <div class="problem-head">
          <h2>
            <a href={to(`subscriptions/${subscription_id}`)} data-row>
              {receiverOf(subscription_url)}
            </a>
          </h2>
          <State problem={problem} />
        </div>
        <p class="url">{sentence}</p>
        {saysMore && <p class="hint">{error}</p>}
        <p class="counts">
          <span>
            since <Time at={since} />
          </span>
          <span>
            last <Time at={last_at} />
          </span>
          <span>{countOf(attempts, 'failed attempt', 'failed attempts')}</span>
          {waiting > 0 && <span>{formatCount(waiting)} waiting for a retry</span>}
          {failed > 0 && <span>{countOf(failed, 'delivery', 'deliveries')} failed</span>}
          {held > 0 && (
            <span>
              {formatCount(held)}
              {held_more && '+'} held
            </span>
          )}
          <Examples problem={problem} />
        </p>
      </div>
      {may('manage') && <NextStep problem={problem} reload={reload} />}
    </li>
  );
}

function State({ problem }: { problem: ReceiverProblem }) {
  const { subscription_status, circuit_open, cause, response_code } = problem;
  return (
    <>
      {subscription_status !== 'active' ? (
        <span class={`badge ${subscription_status === 'disabled' ? 'bad' : 'waiting'}`}>
          {subscription_status}
        </span>
      ) : (
        circuit_open && <span class="badge bad">circuit open</span>
      )}
      <span class="muted">{response_code === null ? cause : `${cause} ${response_code}`}</span>
    </>
  );
}

/** Links to the oldest and the newest delivery. */
function Examples({ problem: { first_delivery, last_delivery } }: { problem: ReceiverProblem }) {
  // The id of a delivery is that of its webhook and that of its subscription.
  const webhookOf = (delivery: string) => delivery.split('.')[0] ?? '';
  return (
    <>
      <a href={to(`webhooks/${webhookOf(first_delivery)}`)}>first example</a>
      {last_delivery !== first_delivery && (
        <a href={to(`webhooks/${webhookOf(last_delivery)}`)}>last example</a>
      )}
    </>
  );
}
