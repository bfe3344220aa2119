import { describeApi } from '../dashboard/generate-client.ts';

type Json = Record<string, unknown>;
interface Operation extends Json {
  readonly requestBody?: { readonly content: Record<string, unknown> };
  readonly responses: Readonly<Record<string, Json>>;
}

/** Routes that are no use to a program: of browsers, of monitoring, of the first system, and a stream of events. */
const LEFT_OUT =
  /^\/(subscriptions\/|logs\/|ingest\/getsignature|ping|healthz|readyz|metrics)|^\/v1\/(session|stream)|\/portal$/;

/**
 * The OpenAPI document from which the clients are generated. It has less than that of the service, so that what is
 * generated is half as large: only routes for programs, and no answers that are errors. They are problems, all alike,
 * which the hand-written part of each client reads.
 */
export async function clientDocument(): Promise<Json> {
  const { paths, ...document } = (await describeApi()) as Json & {
    readonly paths: Record<string, Record<string, Operation>>;
  };
  const left = Object.entries(paths).filter(([path]) => !LEFT_OUT.test(path));
  return {
    ...document,
    paths: Object.fromEntries(
      left.map(([path, operations]) => [
        path,
        Object.fromEntries(
          Object.entries(operations).map(([method, operation]) => [method, trimmed(operation)]),
        ),
      ]),
    ),
  };
}

function trimmed({ requestBody, responses, ...operation }: Operation): Operation {
  const good = Object.entries(responses)
    .filter(([status]) => status.startsWith('2'))
    .map(([status, { headers: _, ...response }]) => [status, response]);
  return {
    ...operation,
    ...(requestBody === undefined ? {} : { requestBody: onlyJson(requestBody) }),
    responses: Object.fromEntries(good),
  };
}

/** The generator for Python takes no body of any type. */
function onlyJson({ content, ...body }: NonNullable<Operation['requestBody']>) {
  const json = Object.entries(content).filter(([type]) => type === 'application/json');
  return { ...body, content: Object.fromEntries(json) };
}
