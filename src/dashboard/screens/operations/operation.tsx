import { useRoute } from 'preact-iso/router';
import { cancelTask, getTask, type Task } from '../../api/client.ts';
import { Action } from '../../components/button.tsx';
import { Show } from '../../components/states.tsx';
import { Time } from '../../components/time.tsx';
import { useData } from '../../data/use-data.ts';
import { formatCount } from '../../lib/format.ts';
import { to } from '../../lib/urls.ts';
import { may } from '../../session.ts';
import { Row } from '../subscriptions/configuration.tsx';
import { describe, isUnfinished, Progress } from './progress.tsx';

const REFRESH_MS = 1_000;

/** One bulk operation: how far it is, and a button that ends it. */
export function Operation() {
  const { params } = useRoute();
  const id = params.task_id ?? '';
  const loaded = useData((signal) => getTask(id, {}, { signal }), [id], { everyMs: REFRESH_MS });
  return (
    <>
      <p class="path">
        <a href={to('tasks')}>Bulk operations</a> / {id}
      </p>
      <Show loaded={loaded}>{(task) => <Details task={task} reload={loaded.reload} />}</Show>
    </>
  );
}

function Details({ task, reload }: { task: Task; reload: () => void }) {
  const [title, about] = describe(task);
  return (
    <>
      <div class="screen-head">
        <div class="title">
          <h1>{title}</h1>
          <p class="second">{about}</p>
        </div>
        {may('manage') && isUnfinished(task) && task.kind !== 'delete' && (
          <Action
            kind="danger"
            run={async () => {
              await cancelTask(task.id);
              reload();
            }}
            done="Cancelled. What it has changed already stays changed."
            confirm="The operation stops. Deliveries that it has changed already stay changed."
          >
            Cancel the operation
          </Action>
        )}
      </div>
      {task.error !== null && (
        <div class="notice bad">
          <h2>It failed</h2>
          <p>{task.error}</p>
        </div>
      )}
      <div class="panel">
        <Progress task={task} />
      </div>
      <dl class="settings panel section">
        <Row name="Changed">{formatCount(task.changed)}</Row>
        <Row name="Examined">{formatCount(task.examined)}</Row>
        <Row name="Subscription">
          {task.subscription_id === null ? (
            'all'
          ) : (
            <a href={to(`subscriptions/${task.subscription_id}`)}>{task.subscription_id}</a>
          )}
        </Row>
        <Row name="Accepted from">
          <Time at={task.since} /> to <Time at={task.until} />
        </Row>
        <Row name="States">{task.states.join(', ')}</Row>
        <Row name="Event types">{task.event_types?.join(', ') ?? 'all'}</Row>
        <Row name="At most">
          {task.rate === null ? 'no limit' : `${formatCount(task.rate)} deliveries a second`}
        </Row>
        <Row name="Started">
          <Time at={task.started_at} />
        </Row>
        <Row name="Ended">
          <Time at={task.ended_at} />
        </Row>
      </dl>
    </>
  );
}
