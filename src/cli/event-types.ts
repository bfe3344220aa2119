import { Command } from 'commander';
import { errorMessage, OperatorError } from '../lib/errors.ts';
import { call, callPages, callsService, type Target } from './call.ts';
import { EXIT } from './exit-codes.ts';
import { printAnswer, safe, table } from './output.ts';
import { readInput } from './read-input.ts';

interface EventType {
  readonly name: string;
  readonly description: string | null;
  readonly schema: unknown;
  readonly archived: boolean;
}

/** `posthorn event-types`: shows and imports the event types of a tenant. */
export function eventTypesCommand(): Command {
  const command = new Command('event-types')
    .description('show and import the event types of a tenant')
    .addHelpText(
      'after',
      `
Examples:
  $ posthorn event-types list
  $ posthorn event-types import openapi.yaml`,
    );
  const list = new Command('list').description('list the event types').action(listTypes);
  const get = new Command('get')
    .description('show an event type, with its schema and example')
    .argument('<name>', 'the event type')
    .action(getType);
  command.addCommand(callsService(list, 'read'));
  command.addCommand(callsService(get, 'read'));
  command.addCommand(
    callsService(
      new Command('import')
        .description('register the webhooks of an OpenAPI 3.1 document')
        .argument('<file>', 'the document, as JSON or YAML; - for standard input')
        .action(importTypes),
      'manage',
    ),
  );
  return command;
}

async function listTypes(target: Target): Promise<void> {
  const types = await callPages<EventType>(target, { method: 'GET', path: '/v1/event-types' });
  printAnswer(target, types, () =>
    table([
      ['name', 'schema', 'description'],
      ...types.map(({ name, description, schema, archived }) => [
        archived ? `${safe(name)} (archived)` : safe(name),
        schema === null ? '' : 'yes',
        safe(description ?? ''),
      ]),
    ]),
  );
}

async function getType(name: string, target: Target): Promise<void> {
  const type = await call<EventType>(target, {
    method: 'GET',
    path: `/v1/event-types/${encodeURIComponent(name)}`,
  });
  printAnswer(target, type, (type) => JSON.stringify(type, null, 2));
}

async function importTypes(file: string, target: Target): Promise<void> {
  const answer = await call<{ created: readonly string[]; updated: readonly string[] }>(target, {
    method: 'POST',
    path: '/v1/event-types/import',
    body: await readDocument(file),
  });
  printAnswer(
    target,
    answer,
    ({ created, updated }) => `${created.length} created, ${updated.length} updated.`,
  );
}

/**
 * Reads a document as the bytes of its JSON. YAML is what is called so, and what does not begin as an object of JSON.
 *
 * @throws OperatorError if it cannot be read.
 */
async function readDocument(file: string): Promise<Buffer> {
  const bytes = await readInput(file);
  const text = bytes.toString();
  if (!/\.ya?ml$/i.test(file) && /^[\s\uFEFF]*\{/.test(text)) return bytes;
  try {
    const { parse } = await import('yaml');
    return Buffer.from(JSON.stringify(parse(text)) ?? '');
  } catch (error) {
    // Below it, the library draws the place.
    const [problem = ''] = errorMessage(error).split('\n');
    throw new OperatorError(`The file ${file} is no YAML: ${problem.replace(/:$/, '.')}`, {
      exitCode: EXIT.usage,
    });
  }
}
