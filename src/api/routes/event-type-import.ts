import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import {
  MAX_EVENT_TYPES,
  MAX_EXAMPLE_BYTES,
  MAX_SCHEMA_BYTES,
  MAX_TOTAL_BYTES,
  shortened,
} from '../../event-types/limits.ts';
import type { DescribedEventType } from '../../event-types/openapi.ts';
import { putEventTypes } from '../../event-types/store.ts';
import { freeBuffer } from '../../lib/free-buffer.ts';
import { notJson, takeRawJson, textOfBody } from '../accepting.ts';
import { createEventTypeJudge, judgeForTenant } from '../judge-event-type.ts';
import { type FieldProblem, invalidField, invalidRequest, Problem } from '../problems.ts';
import {
  described,
  EventType as EventTypeName,
  problems,
  SENT_EVENT_TYPE,
} from '../schemas/common.ts';
import type { ApiServices } from '../services.ts';
import { validatorOfAllButBody } from '../validation.ts';
import { conflictIfTooMany, RESERVED_NAMES } from './event-types.ts';

const SENDABLE = new RegExp(SENT_EVENT_TYPE);
/** CPU time for all schemas of one import together. A thousand ordinary schemas take 1 s. */
const MAX_JUDGING_MS = 10_000;
const MAX_REPORTED_NAMES = 20;

/** Imports event types from an OpenAPI document. */
export const eventTypeImportRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services },
) => {
  const { db, eventTypes, schemas, settings } = services;
  const judge = createEventTypeJudge(services);
  /** Tenants with an import in progress. A tenant has at most one, which limits the memory of all imports. */
  const importing = new Set<string>();
  takeRawJson(app);

  async function importDocument(request: FastifyRequest, body: Buffer) {
    const { tenant } = request;
    const types = await app.outsideTurn(request, () => judgeDocument(tenant, body));
    const created = new Set(await conflictIfTooMany(() => putEventTypes(db, tenant, types)));
    eventTypes.forget(tenant);
    const names = types.map(({ name }) => name);
    return {
      created: names.filter((name) => created.has(name)),
      updated: names.filter((name) => !created.has(name)),
    };
  }

  /** Its event types, once all of them are found to be right. */
  async function judgeDocument(tenant: string, body: Buffer) {
    const document = textOfBody(body);
    freeBuffer(body);
    const reading = await judgeForTenant(() => schemas.readDocument(tenant, document));
    if ('notJson' in reading) throw notJson(reading.notJson);
    if ('place' in reading)
      throw invalidField(['body', reading.place].filter(Boolean).join('.'), reading.message);
    const { types } = reading;
    requireNames(types);
    let usedMs = 0;
    for (const type of types) {
      usedMs += await judge({ tenant, ...type }, `body.webhooks.${type.name}`);
      if (usedMs > MAX_JUDGING_MS)
        throw invalidField(
          'body.webhooks',
          `has schemas that take longer than ${MAX_JUDGING_MS} ms to compile, up to ${type.name}; import fewer at a time, or simplify them`,
        );
    }
    return types;
  }

  app.post(
    '/v1/event-types/import',
    {
      config: { scope: 'manage' },
      // The body stays bytes here, so its schema is for the document; the thread for schemas parses it.
      validatorCompiler: validatorOfAllButBody,
      bodyLimit: settings.maxBodyBytes,
      schema: {
        operationId: 'importEventTypes',
        summary: 'Register the webhooks of an OpenAPI document',
        description: `The body is an OpenAPI 3.1 document as JSON. Posthorn reads \`webhooks\` and the parts of \`components\` that they refer to. Either all event types of the document are registered or none. Event types that exist already get the description, schema and example of the document; event types that the document does not name do not change. Limits: ${MAX_SCHEMA_BYTES} bytes for a schema with everything that it refers to, ${MAX_EXAMPLE_BYTES} bytes for an example, ${MAX_TOTAL_BYTES} bytes for all of them together. A tenant can have one import in progress at a time.`,
        tags: ['event types'],
        body: Type.Object(
          {
            openapi: Type.String(),
            webhooks: Type.Record(Type.String(), Type.Any(), { maxProperties: MAX_EVENT_TYPES }),
          },
          {
            additionalProperties: true,
            examples: [
              {
                openapi: '3.1.0',
                webhooks: {
                  'invoice.paid': {
                    post: {
                      summary: 'An invoice was paid.',
                      requestBody: {
                        content: {
                          'application/json': {
                            schema: { type: 'object', required: ['id'] },
                            example: { id: 'in_7' },
                          },
                        },
                      },
                    },
                  },
                },
              },
            ],
          },
        ),
        response: {
          200: described(
            'The names of the event types that were created, and of those that existed and were updated.',
            Type.Object({
              created: Type.Array(EventTypeName),
              updated: Type.Array(EventTypeName),
            }),
          ),
          ...problems(400, 401, 409, 413, 415),
        },
      },
    },
    async (request) => {
      const { tenant } = request;
      if (importing.has(tenant))
        throw new Problem(
          'too-many-requests',
          'Another import of this tenant is in progress; send this request again when that import has ended.',
          { headers: { 'retry-after': '1' } },
        );
      importing.add(tenant);
      try {
        // The validator above leaves it what the parser gives.
        return await importDocument(request, request.body as unknown as Buffer);
      } finally {
        importing.delete(tenant);
      }
    },
  );
};

/** @throws Problem (400) listing the names that cannot be event types. */
function requireNames(types: readonly DescribedEventType[]): void {
  const problems: FieldProblem[] = types
    .map(({ name }) => name)
    .filter((name) => name.length > 128 || RESERVED_NAMES.has(name) || !SENDABLE.test(name))
    .slice(0, MAX_REPORTED_NAMES)
    .map((name) => ({
      field: `body.webhooks.${shortened(name, 128)}`,
      message:
        'must be an event type: words of letters, digits, _ and - with dots between them, such as order.created; at most 128 characters; not "import" or "openapi.json", and not beginning with "posthorn."',
    }));
  if (problems.length > 0) throw invalidRequest(problems);
}
