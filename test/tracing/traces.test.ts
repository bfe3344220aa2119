// Traces from the sender to the receiver, as a real OTLP receiver gets them.
import pg from 'pg';
import { pino } from 'pino';
import t from 'tap';
import type { LogLine } from '../helpers/log.ts';
import { startCollector } from '../helpers/otlp/collector.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const SENDER = { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: 'shop=42' };
const [SERVER, CLIENT, CONSUMER] = [2, 3, 5];

// The SDK reads it when the service starts.
process.env.OTEL_BSP_SCHEDULE_DELAY = '50';
process.env.OTEL_RESOURCE_ATTRIBUTES = 'deployment.environment.name=test';

t.test('with a collector', async (t) => {
  const collector = await startCollector(t);
  const lines: LogLine[] = [];
  const log = pino(
    { level: 'debug', base: null },
    { write: (text: string) => void lines.push(JSON.parse(text)) },
  );
  const service = await startTestService(
    t,
    { OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/` },
    log,
  );
  const db = new pg.Client({ connectionString: service.databaseUrl });
  await db.connect();
  t.teardown(() => db.end());

  /** Waits until so many attempts of a webhook are exported, and returns the spans of its trace. */
  const traceOf = (webhookId: string, attempts: number) =>
    until(`${attempts} attempts of ${webhookId} are exported`, () => {
      const spans = collector.spans();
      const delivers = spans.filter(
        ({ name, attributes }) =>
          name === 'deliver' && attributes['messaging.message.id'] === webhookId,
      );
      if (delivers.length < attempts) return null;
      const { traceId } = delivers[0] as (typeof delivers)[number];
      const trace = spans.filter((span) => span.traceId === traceId);
      const isWhole = delivers.every(({ spanId }) =>
        trace.some(({ parentSpanId }) => parentSpanId === spanId),
      );
      return isWhole && { delivers, trace };
    });

  t.test('one trace goes from the sender through each attempt to the receiver', async (t) => {
    const receiver = await startReceiver(t, (response, _request, nth) => {
      response.statusCode = nth === 1 ? 500 : 200;
      response.end();
    });
    const id = await service.subscribe(receiver.url);
    const webhookId = await service.ingest(id, {}, SENDER);
    const [first, second] = await receiver.waitFor(2);
    const { trace } = await traceOf(webhookId, 2);

    const intake = trace.find(({ kind }) => kind === SERVER);
    t.match(intake, {
      traceId: TRACE,
      parentSpanId: SPAN,
      traceState: 'shop=42',
      name: 'POST /ingest/:subscription_id',
      attributes: { 'http.response.status_code': 202, 'http.route': '/ingest/:subscription_id' },
      resource: { 'service.name': 'posthorn', 'deployment.environment.name': 'test' },
      isError: false,
    });
    const delivers = trace
      .filter(({ kind }) => kind === CONSUMER)
      .sort(
        (a, b) =>
          Number(a.attributes['posthorn.attempt']) - Number(b.attributes['posthorn.attempt']),
      );
    t.equal(delivers.length, 2);
    for (const [nth, request] of [first, second].entries()) {
      const deliver = delivers[nth];
      t.match(deliver, {
        parentSpanId: intake?.spanId,
        name: 'deliver',
        isError: nth === 0,
        attributes: {
          'messaging.system': 'posthorn',
          'messaging.message.id': webhookId,
          'messaging.destination.subscription.name': String(id),
          'posthorn.attempt': nth + 1,
          'posthorn.tenant': 'default',
          'posthorn.delivery.state': nth === 0 ? 'pending' : 'succeeded',
        },
      });
      const post = trace.find(({ parentSpanId }) => parentSpanId === deliver?.spanId);
      t.match(post, {
        kind: CLIENT,
        name: 'POST',
        isError: nth === 0,
        attributes: {
          'http.response.status_code': nth === 0 ? 500 : 200,
          'server.address': '127.0.0.1',
          'url.scheme': 'http',
        },
      });
      t.equal(
        request?.headers.traceparent,
        `00-${TRACE}-${post?.spanId}-01`,
        'the receiver is its child',
      );
      t.equal(request?.headers.tracestate, 'shop=42');
      t.ok(
        (deliver?.startMs ?? 0) <= (post?.startMs ?? 0),
        'the wait is the beginning of its span',
      );
      t.ok((post?.endMs ?? 0) <= (deliver?.endMs ?? 0) + 1);
    }
    const told = JSON.stringify(trace);
    t.notOk(
      told.includes(new URL(receiver.url).host),
      'no URL of a receiver, which may have a secret',
    );

    const attempts = lines.filter(
      ({ msg, webhookId: of }) => msg === 'attempt' && of === webhookId,
    );
    t.equal(attempts.length, 2);
    t.match(attempts[0], { trace_id: TRACE, subscriptionId: id });
    t.match(
      lines.find(({ msg, webhookId: of }) => msg === 'request' && of === webhookId),
      { trace_id: TRACE, subscriptionId: id, status: 202 },
    );
  });

  t.test('a send in SQL belongs to the trace in its headers', async (t) => {
    const receiver = await startReceiver(t);
    await service.request('POST', '/v1/subscriptions', {
      url: receiver.url,
      event_types: ['sql.sent'],
    });
    const { rows } = await db.query(
      `select posthorn.send('sql.sent', '{}', headers => '{"traceparent": "${SENDER.traceparent}"}') as id`,
    );
    const { delivers, trace } = await traceOf(rows[0].id, 1);
    t.match(delivers[0], { traceId: TRACE, parentSpanId: SPAN });
    const post = trace.find(({ parentSpanId }) => parentSpanId === delivers[0]?.spanId);
    t.equal(receiver.received[0]?.headers.traceparent, `00-${TRACE}-${post?.spanId}-01`);
  });

  t.test('a webhook without a trace gets one, by its id', async (t) => {
    const receiver = await startReceiver(t, (response, _request, nth) => {
      response.statusCode = nth === 1 ? 500 : 200;
      response.end();
    });
    await service.request('POST', '/v1/subscriptions', {
      url: receiver.url,
      event_types: ['sql.alone'],
    });
    const { rows } = await db.query(
      `select posthorn.send('sql.alone', '{}', headers => '{"traceparent": "malformed"}') as id`,
    );
    const { delivers } = await traceOf(rows[0].id, 2);
    for (const { traceId, parentSpanId } of delivers)
      t.match(
        { traceId, parentSpanId },
        { traceId: rows[0].id.replaceAll('-', ''), parentSpanId: '' },
      );
    t.match(receiver.received[0]?.headers.traceparent, `00-${rows[0].id.replaceAll('-', '')}`);
  });

  t.test(
    'all webhooks of a batch belong to the trace of the request, and hostile traces are ignored',
    async (t) => {
      const receiver = await startReceiver(t);
      await service.request('POST', '/v1/subscriptions', {
        url: receiver.url,
        event_types: ['batch.sent'],
      });
      const hostile = {
        traceparent: `00-${TRACE}-${SPAN}-01-${'x'.repeat(5_000)}`,
        tracestate: 'a=1',
      };
      const batch = { webhooks: [1, 2].map((data) => ({ event_type: 'batch.sent', data })) };
      const { json } = await service.request('POST', '/v1/webhooks/batch', batch, hostile);
      const [a, b] = json.webhooks;
      const [one, other] = [await traceOf(a.webhook_id, 1), await traceOf(b.webhook_id, 1)];
      const intake = one.trace.find(({ kind }) => kind === SERVER);
      t.match(intake, { name: 'POST /v1/webhooks/batch', parentSpanId: '' });
      t.not(intake?.traceId, TRACE);
      t.equal(one.delivers[0]?.parentSpanId, intake?.spanId);
      t.equal(other.delivers[0]?.parentSpanId, intake?.spanId);
      t.equal(receiver.received[0]?.headers.tracestate, undefined);
    },
  );

  t.test(
    'a trace that its sender does not record is not recorded, and the receiver learns it',
    async (t) => {
      const receiver = await startReceiver(t);
      const id = await service.subscribe(receiver.url);
      const unsampled = '5bf92f3577b34da6a3ce929d0e0e4736';
      await service.ingest(id, {}, { traceparent: `00-${unsampled}-${SPAN}-00` });
      const [request] = await receiver.waitFor(1);
      t.match(request?.headers.traceparent, new RegExp(`^00-${unsampled}-[0-9a-f]{16}-00$`));
      // What came after it is exported, so it would be too.
      await traceOf(await service.ingest(id, {}, SENDER), 1);
      t.notOk(collector.spans().some(({ traceId }) => traceId === unsampled));
    },
  );

  t.test('the metrics count spans', async (t) => {
    const { text } = await service.request('GET', '/metrics');
    const count = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]);
    t.ok(count('posthorn_spans_exported_total') > 5, text);
    t.ok(count('posthorn_spans_ended_total') >= count('posthorn_spans_exported_total'));
  });

  t.test('a collector that is away is one warning, and webhooks are delivered', async (t) => {
    await collector.close();
    const receiver = await startReceiver(t);
    const id = await service.subscribe(receiver.url);
    for (let n = 0; n < 60; n += 1) await service.ingest(id, {}, SENDER);
    await receiver.waitFor(60);
    const warnings = () => lines.filter(({ msg }) => msg.startsWith('traces cannot be exported'));
    await until('a warning', () => warnings().length > 0);
    t.equal(warnings().length, 1);
    t.equal((await service.request('GET', '/readyz')).status, 200);
  });
});

t.test('without a collector, the receiver gets the trace of the sender unchanged', async (t) => {
  const service = await startTestService(t);
  const receiver = await startReceiver(t);
  const id = await service.subscribe(receiver.url);
  await service.ingest(id, {}, SENDER);
  await receiver.waitFor(1);
  await service.ingest(id, {}, { traceparent: 'malformed', tracestate: 'a=1' });
  await receiver.waitFor(2);
  t.match(receiver.received[0]?.headers, SENDER);
  t.equal(receiver.received[1]?.headers.traceparent, undefined);
  t.equal(receiver.received[1]?.headers.tracestate, undefined);
  t.notOk((await service.request('GET', '/metrics')).text.includes('posthorn_spans'));
});
