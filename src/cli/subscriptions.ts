import { Command } from 'commander';
import { errorMessage, OperatorError } from '../lib/errors.ts';
import { call, callPages, callsService, idArgument, type Target } from './call.ts';
import { EXIT } from './exit-codes.ts';
import { coloured, dim, printAnswer, safe, table } from './output.ts';

interface Subscription {
  readonly id: number;
  readonly url: string;
  readonly status: string;
  readonly status_reason: string | null;
  readonly event_types: readonly string[] | null;
  readonly description: string | null;
}

interface TestAnswer {
  readonly status: string;
  readonly error: string | null;
  readonly response: { readonly status_code: number; readonly body_excerpt: string | null } | null;
  readonly timing_ms: Readonly<Record<string, number | null>>;
}

/** Options that set fields of a subscription. */
interface FieldOptions extends Target {
  readonly to?: string;
  readonly types?: string;
  readonly description?: string;
  readonly set?: readonly string[];
  readonly generateSecret?: boolean;
}

/** `posthorn subscriptions`: manages the subscriptions of a running Posthorn. */
export function subscriptionsCommand(): Command {
  const id = idArgument('id', 'as posthorn subscriptions list shows');
  const one = (name: string, description: string, scope: string) =>
    callsService(new Command(name).description(description), scope).argument(
      '<id>',
      'id of the subscription',
      id,
    );
  const fields = (command: Command) =>
    command
      .option('--types <types>', 'the event types that it gets, with commas: order.*,user.created')
      .option('--description <text>', 'a note for people')
      .option(
        '--set <field=json>',
        'any other field, as the API has it: --set \'rate_limit={"limit":10,"per":"1s"}\'',
        (field: string, before: readonly string[] = []) => [...before, field],
      );

  const command = new Command('subscriptions')
    .description('manage the subscriptions of a running Posthorn')
    .addHelpText(
      'after',
      `
Examples:
  $ posthorn subscriptions create https://example.com/hook --types 'order.*' --generate-secret
  $ posthorn subscriptions list
  $ posthorn subscriptions update 7 --set 'ordering="strict"'
  $ posthorn subscriptions test 7
  $ posthorn subscriptions pause 7 --reason 'moving'`,
    );
  command.addCommand(
    callsService(new Command('list').description('list the subscriptions'), 'read').action(list),
  );
  command.addCommand(one('get', 'show a subscription', 'read').action(get));
  command.addCommand(
    fields(callsService(new Command('create').description('create a subscription'), 'manage'))
      .argument('<url>', 'where its webhooks are sent')
      .option('--generate-secret', 'make a secret, and print it once')
      .action(create),
  );
  command.addCommand(
    fields(one('update', 'change a subscription', 'manage'))
      .option('--to <url>', 'send its webhooks to another URL')
      .action(update),
  );
  command.addCommand(
    one('pause', 'hold its deliveries', 'manage')
      .option('--reason <text>', 'a note for people')
      .action(async (id: number, { reason, ...target }: Target & { reason?: string }) =>
        change(target, id, 'pause', { reason }),
      ),
  );
  command.addCommand(
    one('resume', 'send its deliveries again after a pause', 'manage').action(
      async (id: number, target: Target) => change(target, id, 'resume'),
    ),
  );
  command.addCommand(
    one('enable', 'enable a disabled subscription, or close its circuit', 'manage')
      .option('--skip', 'cancel the deliveries that are held, instead of sending them')
      .action(async (id: number, { skip, ...target }: Target & { skip?: boolean }) =>
        change(target, id, 'enable', { backlog: skip ? 'skip' : 'resume' }),
      ),
  );
  command.addCommand(
    one('test', 'send a test webhook now, and show the answer', 'manage').action(test),
  );
  command.addCommand(
    one('rotate-secret', 'replace its secret, and print the new one once', 'manage')
      .option('--overlap <duration>', 'for how long the old secret signs too, such as 24h')
      .action(rotateSecret),
  );
  command.addCommand(
    one('delete', 'delete a subscription, and cancel its deliveries', 'manage').action(remove),
  );
  return command;
}

const pathOf = (id: number, action = '') =>
  `/v1/subscriptions/${id}${action === '' ? '' : `/${action}`}`;

async function list(target: Target): Promise<void> {
  const rows = await callPages<Subscription>(target, { method: 'GET', path: '/v1/subscriptions' });
  printAnswer(target, rows, () =>
    rows.length === 0
      ? 'There are no subscriptions. Create one: posthorn subscriptions create https://example.com/hook'
      : table([
          ['id', 'status', 'event types', 'url', 'description'],
          ...rows.map((row) => [
            String(row.id),
            coloured(row.status),
            typesOf(row),
            safe(row.url),
            safe(row.description ?? ''),
          ]),
        ]),
  );
}

function typesOf({ event_types: types }: Subscription): string {
  if (types === null) return 'all';
  return types.length === 0 ? 'none' : safe(types.join(','));
}

async function get(id: number, target: Target): Promise<void> {
  const found = await call<Subscription>(target, { method: 'GET', path: pathOf(id) });
  printAnswer(target, found, describe);
}

/** All fields that are set, one a line. */
function describe(subscription: Subscription): string {
  return table(
    Object.entries(subscription)
      .filter(([, value]) => value !== null)
      .map(([field, value]) => [
        dim(field),
        field === 'status'
          ? coloured(String(value))
          : safe(typeof value === 'string' ? value : JSON.stringify(value)),
      ]),
  );
}

async function create(url: string, options: FieldOptions): Promise<void> {
  const created = await call<Subscription & { secret?: string }>(options, {
    method: 'POST',
    path: '/v1/subscriptions',
    body: {
      url,
      ...fieldsOf(options),
      ...(options.generateSecret ? { generate_secret: true } : {}),
    },
  });
  printAnswer(options, created, describe);
}

async function update(id: number, options: FieldOptions): Promise<void> {
  const body = {
    ...fieldsOf(options),
    ...(options.to === undefined ? {} : { url: options.to }),
  };
  if (Object.keys(body).length === 0)
    throw new OperatorError('Nothing to change: give --to, --types, --description or --set.', {
      exitCode: EXIT.usage,
    });
  const updated = await call<Subscription>(options, { method: 'PATCH', path: pathOf(id), body });
  printAnswer(options, updated, describe);
}

function fieldsOf({ types, description, set = [] }: FieldOptions): Record<string, unknown> {
  return {
    ...(types === undefined
      ? {}
      : {
          event_types: types
            .split(',')
            .map((type) => type.trim())
            .filter((type) => type !== ''),
        }),
    ...(description === undefined ? {} : { description }),
    ...Object.fromEntries(set.map(readField)),
  };
}

function readField(text: string): [string, unknown] {
  const [, field, value] = /^(\w+)=(.*)$/s.exec(text) ?? [];
  try {
    if (field !== undefined && value !== undefined) return [field, JSON.parse(value)];
  } catch (error) {
    throw new OperatorError(`--set ${text}: the value is not JSON (${errorMessage(error)}).`, {
      exitCode: EXIT.usage,
    });
  }
  throw new OperatorError(
    `--set ${text}: give a field and its value as JSON, such as timeout="10s".`,
    {
      exitCode: EXIT.usage,
    },
  );
}

async function change(
  target: Target,
  id: number,
  action: string,
  body?: Record<string, unknown>,
): Promise<void> {
  const changed = await call<Subscription>(target, {
    method: 'POST',
    path: pathOf(id, action),
    body,
  });
  printAnswer(target, changed, ({ status }) => `Subscription ${id} is ${coloured(status)}.`);
}

async function test(id: number, target: Target): Promise<void> {
  const answer = await call<TestAnswer>(target, { method: 'POST', path: pathOf(id, 'test') });
  printAnswer(target, answer, ({ status, error, response, timing_ms }) => {
    const timing = Object.entries(timing_ms)
      .filter(([, ms]) => ms !== null)
      .map(([phase, ms]) => `${phase.replace('_', ' ')} ${ms} ms`);
    return [
      `${coloured(status)}: ${response === null ? safe(error ?? '') : `the receiver answered ${response.status_code}`}`,
      dim(timing.join(', ')),
      ...(response?.body_excerpt ? [safe(response.body_excerpt)] : []),
    ].join('\n');
  });
  if (answer.status !== 'success') process.exitCode = EXIT.failed;
}

async function rotateSecret(
  id: number,
  { overlap, ...target }: Target & { readonly overlap?: string },
): Promise<void> {
  const rotated = await call<{ secret: string }>(target, {
    method: 'POST',
    path: pathOf(id, 'rotate-secret'),
    body: overlap === undefined ? {} : { overlap },
  });
  printAnswer(target, rotated, ({ secret }) => secret);
  process.stderr.write(`This is the new secret of subscription ${id}. It is not shown again.\n`);
}

async function remove(id: number, target: Target): Promise<void> {
  const answer = await call<unknown>(target, { method: 'DELETE', path: pathOf(id) });
  printAnswer(target, answer ?? { id, deleted: true }, () => `Subscription ${id} is deleted.`);
}
