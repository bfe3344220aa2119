import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { cancelTask, getTask, listTasks, type NewTask } from '../../bulk-operations/store.ts';
import { beginTask } from '../begin-task.ts';
import { CURSOR_UUID } from '../cursor.ts';
import { linksOf } from '../links.ts';
import { addListRoute, readPageBy } from '../list-route.ts';
import { invalidField, notFound, Problem } from '../problems.ts';
import { described, problems, SubscriptionId } from '../schemas/common.ts';
import {
  DEFAULT_RATE,
  linkTask,
  RecoverFilter,
  ReplayFilter,
  Task,
  TaskId,
} from '../schemas/task.ts';
import type { ApiServices } from '../services.ts';
import { tenantSubscription } from '../tenant-subscription.ts';

const SubscriptionParams = Type.Object({ subscription_id: SubscriptionId });
const Params = Type.Object({ task_id: TaskId });

/** Tasks: changes to many deliveries, which the workers make in batches. */
export const taskRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { pool } },
) => {
  async function beginForSubscription(
    { since, until, rate = DEFAULT_RATE }: { since: string; until?: string; rate?: number },
    task: Pick<NewTask, 'tenant' | 'kind' | 'states' | 'eventTypes'> & { subscriptionId: number },
  ) {
    const [from, to] = [new Date(since), new Date(until ?? Date.now())];
    if (from >= to)
      throw invalidField(
        'body.since',
        until === undefined ? 'must be in the past' : 'must be before body.until',
      );
    await tenantSubscription(pool, task.tenant, task.subscriptionId);
    return await beginTask(pool, { ...task, since: from, until: to, rate });
  }

  app.post(
    '/v1/subscriptions/:subscription_id/replay',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'replaySubscription',
        summary: 'Send the deliveries of a period again',
        description:
          'Starts a task that makes the matching deliveries pending again, the oldest first, at a limited rate. Deliveries that are still pending or held, and those whose body is deleted, are left as they are.',
        tags: ['tasks'],
        params: SubscriptionParams,
        body: ReplayFilter,
        response: {
          202: described('The task that sends them again.', Task),
          ...problems(400, 401, 404, 409, 413, 415),
        },
      },
    },
    async (request, reply) => {
      const { states = ['failed', 'cancelled'], event_types = null, ...when } = request.body;
      const task = await beginForSubscription(when, {
        tenant: request.tenant,
        kind: 'replay',
        subscriptionId: request.params.subscription_id,
        states,
        eventTypes: event_types,
      });
      reply.header('location', linksOf(request)(`/v1/tasks/${task.id}`));
      return reply.code(202).send(linkTask(task, linksOf(request)));
    },
  );

  app.post(
    '/v1/subscriptions/:subscription_id/recover',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'recoverSubscription',
        summary: 'Send all failed deliveries of a period again',
        description: 'The same as a replay with `states` failed.',
        tags: ['tasks'],
        params: SubscriptionParams,
        body: RecoverFilter,
        response: {
          202: described('The task that sends them again.', Task),
          ...problems(400, 401, 404, 409, 413, 415),
        },
      },
    },
    async (request, reply) => {
      const task = await beginForSubscription(request.body, {
        tenant: request.tenant,
        kind: 'recover',
        subscriptionId: request.params.subscription_id,
        states: ['failed'],
        eventTypes: null,
      });
      reply.header('location', linksOf(request)(`/v1/tasks/${task.id}`));
      return reply.code(202).send(linkTask(task, linksOf(request)));
    },
  );

  addListRoute(app, {
    path: '/v1/tasks',
    scope: 'read',
    operationId: 'listTasks',
    summary: 'List tasks, the newest first',
    tag: 'tasks',
    page: 'A page of tasks.',
    filters: {},
    row: Task,
    cursor: [CURSOR_UUID],
    read: ({ tenant, limit, after = [], to }) =>
      readPageBy(
        limit,
        async (limit) =>
          (await listTasks(pool, tenant, limit, after[0])).map((task) => linkTask(task, to)),
        ({ id }) => [id],
      ),
  });

  app.get(
    '/v1/tasks/:task_id',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getTask',
        summary: 'Get a task and its progress',
        tags: ['tasks'],
        params: Params,
        response: { 200: described('The task.', Task), ...problems(400, 401, 404) },
      },
    },
    async (request, reply) => reply.send(await findTask(request, request.params)),
  );

  app.post(
    '/v1/tasks/:task_id/cancel',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'cancelTask',
        summary: 'Cancel a task',
        description: 'The task stops. Deliveries that it has already changed stay changed.',
        tags: ['tasks'],
        params: Params,
        response: {
          200: described('The task, which has ended.', Task),
          ...problems(400, 401, 404, 409),
        },
      },
    },
    async (request, reply) => {
      const ended = await cancelTask(pool, request.tenant, request.params.task_id);
      const task = await findTask(request, request.params);
      if (!ended && task.state !== 'cancelled')
        throw new Problem(
          'conflict',
          `The task has already ended, with the state ${task.state}, so it cannot be cancelled.`,
        );
      return reply.send(task);
    },
  );

  async function findTask(request: FastifyRequest, { task_id: id }: { task_id: string }) {
    const task = await getTask(pool, request.tenant, id);
    if (task === undefined) throw notFound('task', id);
    return linkTask(task, linksOf(request));
  }
};
