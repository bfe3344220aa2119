import { listTasks, type Task } from '../../api/client.ts';
import { Empty } from '../../components/states.tsx';
import { type Column, PagedTable } from '../../components/table.tsx';
import { Time } from '../../components/time.tsx';
import { usePages } from '../../data/use-pages.ts';
import { to } from '../../lib/urls.ts';
import { may, shows } from '../../session.ts';
import { describe, Progress } from './progress.tsx';

const REFRESH_MS = 2_000;

const COLUMNS: readonly Column<Task>[] = [
  {
    head: 'Operation',
    cell: (task) => {
      const [title, about] = describe(task);
      return (
        <>
          {title}
          <span class="second">{about}</span>
        </>
      );
    },
  },
  { head: 'Progress', fit: true, cell: (task) => <Progress task={task} /> },
  {
    head: 'Accepted from',
    fit: true,
    wide: true,
    cell: ({ since, until }) => (
      <>
        {since === null ? <span class="muted">the beginning</span> : <Time at={since} />}
        <span class="second">to {until === null ? 'now' : <Time at={until} />}</span>
      </>
    ),
  },
  { head: 'Started', fit: true, wide: true, cell: ({ created_at }) => <Time at={created_at} /> },
];

/** Bulk operations: changes to many deliveries, which the workers make in batches. */
export function Operations() {
  const pages = usePages((page, signal) => listTasks(page, { signal }), [], {
    everyMs: REFRESH_MS,
  });
  return (
    <>
      <div class="screen-head">
        <h1>Bulk operations</h1>
        {may('manage') && shows('subscriptions') && (
          <a class="button primary" href={to('tasks/new')}>
            New operation
          </a>
        )}
      </div>
      <PagedTable
        caption="Bulk operations"
        pages={pages}
        columns={COLUMNS}
        keyOf={({ id }) => id}
        href={({ id }) => to(`tasks/${id}`)}
        empty={
          <Empty
            title="There are no bulk operations"
            command={`curl ${location.origin}/v1/subscriptions/1/recover \\
  -H 'content-type: application/json' \\
  -d '{"since": "${new Date(Date.now() - 3_600_000).toISOString().slice(0, 16)}:00Z"}'`}
          >
            <p>
              A bulk operation sends many deliveries again, or cancels them. After a receiver was
              down, this sends all that failed in the last hour:
            </p>
          </Empty>
        }
      />
    </>
  );
}
