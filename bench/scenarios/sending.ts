import {
  alternating,
  type Bench,
  type Measurement,
  type Scenario,
  warmUp,
  withSide,
} from '../lib/bench.ts';
import { posthorn, type Running } from '../lib/sides.ts';
import { measureWholePathOf } from '../lib/whole-path.ts';

const SCENARIO = 'sending';
const ADMIN_KEY = 'the admin key of a benchmark';
const BY_TYPE = '/v1/webhooks';

export const sending: Scenario = {
  name: SCENARIO,
  what: 'The whole path of webhooks that are sent to one subscription; by event type; and by event type with an API key, an idempotency key for each, and filters on the data',
  run: (bench) =>
    alternating(bench, [
      ['ingest', (round) => ingest(bench, round)],
      ['by type', (round) => byType(bench, round)],
      ['with keys, idempotency and filters', (round) => withEverything(bench, round)],
    ]),
};

async function ingest(bench: Bench, round: number): Promise<Measurement> {
  return await withSide(bench, posthorn, {}, async (running) => {
    const path = await running.subscribe(bench.receiverUrl('/ok'));
    await warmUp(bench, running, path);
    const as = 'ingest';
    return await measureWholePathOf(bench, running, path, round, { scenario: SCENARIO, as });
  });
}

async function byType(bench: Bench, round: number): Promise<Measurement> {
  return await withSide(bench, posthorn, {}, async (running) => {
    await running.subscribe(bench.receiverUrl('/ok'), ['order.*']);
    await warmUp(bench, running, BY_TYPE);
    const as = 'by type';
    return await measureWholePathOf(bench, running, BY_TYPE, round, { scenario: SCENARIO, as });
  });
}

async function withEverything(bench: Bench, round: number): Promise<Measurement> {
  const env = { POSTHORN_ADMIN_KEY: ADMIN_KEY };
  return await withSide(bench, posthorn, { env }, async (running) => {
    const admin = { authorization: `Bearer ${ADMIN_KEY}` };
    const { key } = await post(running, '/v1/keys', admin, { scopes: ['send'], tenant: 'default' });
    const load = { headers: { authorization: `Bearer ${key}` }, idempotencyKeys: true };
    for (const [path, filter] of [
      ['/ok', '$.sent_at_us >= 0 && $.note starts with "x"'],
      ['/ok?never', '$.note == "y"'],
    ])
      await post(running, '/v1/subscriptions', admin, {
        url: bench.receiverUrl(path as string),
        event_types: ['order.*'],
        filter,
      });
    await warmUp(bench, running, BY_TYPE, load);
    return await measureWholePathOf(bench, running, BY_TYPE, round, {
      scenario: SCENARIO,
      as: 'with keys, idempotency and filters',
      load,
    });
  });
}

async function post(
  running: Running,
  path: string,
  headers: Record<string, string>,
  body: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const response = await fetch(`http://127.0.0.1:${running.port}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as Record<string, unknown>;
}
