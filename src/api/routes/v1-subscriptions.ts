import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { cancelDeleted } from '../../bulk-operations/delete.ts';
import { MAX_SUMMARIES, summarizeHealth } from '../../history/health-summaries.sql.ts';
import { listSubscriptions } from '../../subscriptions/list.ts';
import {
  createSubscription,
  deleteSubscription,
  getSubscription,
  updateSubscription,
} from '../../subscriptions/store.ts';
import { chooseSecret, warningOf } from '../choose-secret.ts';
import { CURSOR_ID } from '../cursor.ts';
import { noticeFields, requireFitting, requireMailRight } from '../judge-notices.ts';
import { createFilterCheck, createSubscriptionJudge } from '../judge-subscription.ts';
import { addListRoute } from '../list-route.ts';
import { invalidField, notFound } from '../problems.ts';
import {
  described,
  named,
  nullable,
  oneOf,
  problems,
  SUBSCRIPTION_STATUSES,
  SubscriptionId,
  Timestamp,
} from '../schemas/common.ts';
import { Circuit, FailingSince } from '../schemas/health.ts';
import {
  Deleted,
  Format,
  OPTIONAL_FIELDS,
  Secret,
  SecretWarning,
  SignatureScheme,
  Subscription,
  Url,
  UrlOrPull,
} from '../schemas/subscription.ts';
import type { ApiServices } from '../services.ts';

const Params = Type.Object({ subscription_id: SubscriptionId });

const ONLY_PULLED = 'is only for subscriptions without a URL; leave it out';

const HealthSummary = named('SubscriptionHealthSummary', {
  circuit: Circuit,
  failing_since: FailingSince,
  held: Type.Integer({ description: 'The number of held deliveries, counted up to 100.' }),
  held_more: Type.Boolean({ description: 'Whether more deliveries are held than `held` says.' }),
  hours: Type.Array(
    Type.Object({
      at: { ...Timestamp, description: 'When the hour begins.' },
      attempts: Type.Integer(),
      failed: Type.Integer({ description: 'Attempts that did not succeed.' }),
    }),
    {
      description:
        'The attempts of the last 24 hours of the clock, the oldest first, without gaps. The newest hour is counted up to one or two minutes ago.',
    },
  ),
});
const SubscriptionRow = named('SubscriptionRow', {
  ...Subscription.properties,
  health: Type.Optional({ ...HealthSummary, description: 'Only with `include=health`.' }),
});

/** Subscriptions. The first system's routes show the same rows. */
export const v1SubscriptionRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { db, pool, listPool, sealer, settings, subscriptions } },
) => {
  const judge = createSubscriptionJudge(settings);
  const requireFilter = createFilterCheck(pool);

  /** A subscription with a URL keeps having one, so no delivery is pulled and sent at the same time. */
  async function requireKind(
    tenant: string,
    id: number,
    change: { readonly url?: string; readonly expire_after?: string | null },
  ): Promise<void> {
    if (change.url === undefined && typeof change.expire_after !== 'string') return;
    const known = await getSubscription(db, tenant, id);
    if (known === undefined) return;
    if (known.url === null && change.url !== undefined)
      throw invalidField(
        'body.url',
        'cannot be given to a subscription whose receiver pulls; create another subscription',
      );
    if (known.url !== null && typeof change.expire_after === 'string')
      throw invalidField('body.expire_after', ONLY_PULLED);
  }

  app.post(
    '/v1/subscriptions',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'createSubscription',
        summary: 'Create a subscription',
        description:
          'Without a URL (null) its receiver pulls its webhooks: see docs/pull.md. Deliveries are signed only if the subscription has a secret: give one, or set generate_secret. With signature_scheme ed25519 and no secret, Posthorn generates a private key, which is never shown.',
        tags: ['subscriptions'],
        body: Type.Object(
          {
            url: UrlOrPull,
            format: Type.Optional(Format),
            secret: Type.Optional(Secret),
            generate_secret: Type.Optional(
              Type.Boolean({
                description:
                  'true: Posthorn generates a secret and shows it once, in the answer to this request.',
              }),
            ),
            signature_scheme: Type.Optional(SignatureScheme),
            ...OPTIONAL_FIELDS,
          },
          {
            additionalProperties: false,
            examples: [{ url: 'https://example.com/webhooks', event_types: ['order.*'] }],
          },
        ),
        response: {
          201: described(
            'The subscription. Its secret is never shown again.',
            Type.Object({
              ...Subscription.properties,
              ...SecretWarning,
              secret: Type.Optional(
                Type.String({
                  description: 'The secret that was generated, if generate_secret was true.',
                }),
              ),
            }),
          ),
          ...problems(400, 401, 413, 415),
        },
      },
    },
    async (request, reply) => {
      await requireFilter(request.body.filter);
      const {
        generate_secret: generate = false,
        signature_scheme: scheme,
        ...given
      } = request.body;
      const { secret, shown } = chooseSecret({ secret: given.secret, generate, scheme });
      requireMailRight(request, given.url);
      const fields = judge({ ...given, ...noticeFields(given), secret });
      const fieldWithoutHeader = (['signature_template', 'signature_content'] as const).find(
        (name) => typeof given[name] === 'string' && typeof given.signature_header !== 'string',
      );
      if (given.url !== null && typeof given.expire_after === 'string')
        throw invalidField('body.expire_after', ONLY_PULLED);
      if (fieldWithoutHeader !== undefined)
        throw invalidField(
          `body.${fieldWithoutHeader}`,
          'needs a signature_header; give one, or leave this out',
        );
      const subscription = await createSubscription(db, sealer, {
        ...fields,
        tenant: request.tenant,
      });
      reply.header('location', `/v1/subscriptions/${subscription.id}`);
      return reply.code(201).send({
        ...subscription,
        ...warningOf(secret),
        ...(shown === undefined ? {} : { secret: shown }),
      });
    },
  );

  addListRoute(app, {
    path: '/v1/subscriptions',
    scope: 'read',
    operationId: 'listSubscriptions',
    summary: 'List the subscriptions, by id',
    tag: 'subscriptions',
    page: 'A page: up to `limit` subscriptions, or fewer if they are large. With `include=health` at most 100; with a filter, 10,000 subscriptions are read for a page, so a page may be short or empty and not be the last.',
    filters: {
      status: Type.Optional(
        oneOf(SUBSCRIPTION_STATUSES, 'Only subscriptions with this status. Left out: all.'),
      ),
      failing: Type.Optional(
        oneOf(
          ['true'],
          'true: only subscriptions whose receiver has failed three times in a row, and has not succeeded since.',
        ),
      ),
      search: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 200,
          description:
            'Only subscriptions whose URL or description contains this text. Upper and lower case are equal.',
        }),
      ),
      include: Type.Optional(
        oneOf(['health'], 'health: with the health and the recent counts of each subscription.'),
      ),
    },
    row: SubscriptionRow,
    cursor: [CURSOR_ID],
    async read({ tenant, filters, limit, after = ['0'] }) {
      const { include, failing, ...filter } = filters;
      const { rows, next } = await listSubscriptions(db, {
        ...filter,
        failing: failing && true,
        tenant,
        after: Number(after[0]),
        limit: include === undefined ? limit : Math.min(limit, MAX_SUMMARIES),
      });
      const place = next === null ? null : [next];
      if (include === undefined) return { rows, next: place };
      const summaries = await summarizeHealth(
        listPool,
        tenant,
        rows.map(({ id }) => id),
      );
      return { rows: rows.map((row) => ({ ...row, health: summaries.get(row.id) })), next: place };
    },
  });

  app.get(
    '/v1/subscriptions/:subscription_id',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getSubscription',
        summary: 'Get a subscription',
        tags: ['subscriptions'],
        params: Params,
        response: {
          200: described(
            'The subscription.',
            Type.Object({
              ...Subscription.properties,
              problem: nullable(
                Type.String({
                  description:
                    'Why nothing can be sent to it, such as a secret that cannot be decrypted. Null: there is no problem.',
                }),
              ),
            }),
          ),
          ...problems(400, 401, 404),
        },
      },
    },
    async (request, reply) => {
      const { subscription_id: id } = request.params;
      const subscription = await getSubscription(db, request.tenant, id);
      if (subscription === undefined) throw notFound('subscription', id);
      const problem = (await subscriptions.get(id))?.problem ?? null;
      return reply.send({ ...subscription, problem });
    },
  );

  app.patch(
    '/v1/subscriptions/:subscription_id',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'updateSubscription',
        summary: 'Change a subscription',
        description:
          'Fields that are left out do not change. A subscription without a URL never gets one. A new secret replaces the old one at once; with rotate-secret both sign for a while. null removes the secret.',
        tags: ['subscriptions'],
        params: Params,
        body: Type.Object(
          {
            url: Type.Optional(Url),
            secret: Type.Optional(nullable(Secret)),
            ...OPTIONAL_FIELDS,
          },
          {
            additionalProperties: false,
            minProperties: 1,
            examples: [{ event_types: ['order.*'] }],
          },
        ),
        response: {
          200: described(
            'The subscription as it is now.',
            Type.Object({ ...Subscription.properties, ...SecretWarning }),
          ),
          ...problems(400, 401, 404, 413, 415),
        },
      },
    },
    async (request, reply) => {
      const { subscription_id: id } = request.params;
      await requireFilter(request.body.filter);
      await requireKind(request.tenant, id, request.body);
      requireMailRight(request, request.body.url);
      const format = (await getSubscription(db, request.tenant, id))?.format;
      if (format !== undefined) requireFitting(format, request.body);
      const subscription = await updateSubscription(
        db,
        sealer,
        request.tenant,
        id,
        judge(format === undefined ? request.body : { ...request.body, format }),
      );
      if (subscription === undefined) throw notFound('subscription', id);
      subscriptions.drop(id);
      return reply.send({ ...subscription, ...warningOf(request.body.secret) });
    },
  );

  app.delete(
    '/v1/subscriptions/:subscription_id',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'deleteSubscription',
        summary: 'Delete a subscription',
        description:
          'Its pending and held deliveries are cancelled: up to a thousand at once, the rest by a task. None of them is sent meanwhile. Its history stays.',
        tags: ['subscriptions'],
        params: Params,
        response: {
          200: described('The subscription is deleted.', Deleted),
          ...problems(400, 401, 404),
        },
      },
    },
    async (request) => {
      const { subscription_id: id } = request.params;
      const task = await deleteSubscription(db, request.tenant, id);
      if (task === undefined) throw notFound('subscription', id);
      return await cancelDeleted(pool, task);
    },
  );
};
