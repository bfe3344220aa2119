import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type TSchema, Type } from 'typebox';
import { msOfId } from '../../db/uuidv7.ts';
import { type Position, readPosition } from '../../history/position.ts';
import { linksOf } from '../links.ts';
import { invalidField, Problem } from '../problems.ts';
import { DELIVERY_STATES, EventType, oneOf, problems, SubscriptionId } from '../schemas/common.ts';
import type { ApiServices } from '../services.ts';
import { type Connection, createConnection } from '../stream/connection.ts';
import { type Listener, startListener } from '../stream/listener.ts';

/** The most streams of a process, and of a tenant in it. Each has up to some hundred KiB in memory. */
const MAX_STREAMS = 200;
const MAX_STREAMS_OF_TENANT = 50;
/** Other processes may be ahead of this one, by less than a second. */
const MAX_AHEAD_MS = 10 * 60_000;

const STOPPING = 'This process stops. Connect again with the last id.';

const EventId = Type.String({ maxLength: 200 });

/** The document says what the events are; the schema of an answer in parts is a string. */
const EventStream = {
  description:
    'Server-sent events, without end. `accepted` has a Webhook; `attempt` an Attempt; `pending`, `held`, `delivered`, `failed` and `cancelled` a Delivery. `late` has `complete_until`: later events are missing yet. `end` has the reason.',
  content: { 'text/event-stream': { schema: { type: 'string' } } },
} as unknown as TSchema;

/** Sends what happens to webhooks as server-sent events. */
export const streamRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { events } },
) => {
  const open = new Set<Connection>();
  const byTenant = new Map<string, number>();
  let isStopping = false;

  // Before the server waits for its connections.
  app.addHook('preClose', async () => {
    isStopping = true;
    for (const connection of open) connection.end('shutdown', STOPPING);
  });

  app.get(
    '/v1/stream',
    {
      config: { scope: 'read', endless: true },
      exposeHeadRoute: false,
      schema: {
        operationId: 'getStream',
        summary: 'Follow webhooks, attempts and deliveries as they happen',
        description:
          'Server-sent events, about a second after they happened. Each event comes once. A client that reconnects with the last id (`Last-Event-ID`, as browsers do) gets all that it missed, as far as history is kept. docs/streaming.md has the events and examples.',
        tags: ['history'],
        headers: Type.Object({
          'last-event-id': Type.Optional({
            ...EventId,
            description: 'The id of the last event that the client has got. It gets what followed.',
          }),
        }),
        querystring: Type.Object(
          {
            subscription_id: Type.Optional(SubscriptionId),
            event_type: Type.Optional(EventType),
            state: Type.Optional(
              oneOf(DELIVERY_STATES, 'Only the events of deliveries in this state.'),
            ),
            after: Type.Optional({
              ...EventId,
              description: 'As the header Last-Event-ID, for clients that cannot set headers.',
            }),
          },
          { additionalProperties: false },
        ),
        response: { 200: EventStream, ...problems(400, 401, 429) },
      },
    },
    async (request, reply) => {
      const { tenant, query, headers } = request;
      const given = givenPosition(headers['last-event-id'], query.after);
      const own = byTenant.get(tenant) ?? 0;
      if (events.clients >= MAX_STREAMS || own >= MAX_STREAMS_OF_TENANT)
        throw new Problem(
          'too-many-requests',
          `${own >= MAX_STREAMS_OF_TENANT ? `${own} streams of this tenant` : `${events.clients} streams`} are open already. Close some, or use one for several purposes.`,
          { headers: { 'retry-after': '10' } },
        );
      byTenant.set(tenant, own + 1);
      let connection: Connection | undefined;
      let listener: Listener | undefined;
      // A key that is revoked, or that expires, ends its streams.
      const check = () => {
        app.checkAccess(request).catch((error) => {
          if (error instanceof Problem && error.status < 500)
            connection?.end('access_ended', error.message);
        });
      };
      const forget = () => {
        events.release(check);
        const left = (byTenant.get(tenant) ?? 1) - 1;
        if (left === 0) byTenant.delete(tenant);
        else byTenant.set(tenant, left);
        if (connection !== undefined) open.delete(connection);
        listener?.close();
      };
      let from: Position;
      try {
        const now = await events.acquire(check);
        if (given !== undefined && isFarAhead(given.position, now)) throw given.problem();
        from = given?.position ?? now;
      } catch (error) {
        forget();
        throw error;
      }
      reply.hijack();
      connection = createConnection(reply.raw, reply.getHeaders(), forget);
      open.add(connection);
      if (isStopping) connection.end('shutdown', STOPPING);
      // The client may have gone meanwhile.
      else if (reply.raw.destroyed) forget();
      else
        listener = startListener({
          reader: events,
          filter: {
            tenant,
            subscriptionId: query.subscription_id,
            eventType: query.event_type,
            state: query.state,
          },
          connection,
          from,
          to: linksOf(request),
          onFailure: events.failed,
        });
    },
  );
};

function isFarAhead(position: Position, now: Position): boolean {
  return msOfId(position.webhook) > msOfId(now.webhook) + MAX_AHEAD_MS;
}

/** Returns where the client wants to go on; undefined: with what happens from now on. */
function givenPosition(
  header: string | undefined,
  parameter: string | undefined,
): { position: Position; problem: () => Problem } | undefined {
  // A browser that reconnects sends the header, which is newer than the address.
  const text = header || parameter;
  if (!text) return undefined;
  const problem = () =>
    invalidField(
      header ? 'headers.last-event-id' : 'query.after',
      'is not the id of an event of this service; send the last id that you got, or none',
    );
  const position = readPosition(text);
  if (position === undefined) throw problem();
  return { position, problem };
}
