import { join } from 'node:path';
import protobuf from 'protobufjs';
import type { Test } from 'tap';
import { type Receiver, startReceiver } from '../receiver.ts';

/** A span as a collector gets it. Ids are in hex; times are in milliseconds. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: the span begins a trace. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly traceState: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly isError: boolean;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  /** The attributes of the service. */
  readonly resource: Readonly<Record<string, string | number | boolean>>;
}

export interface Collector extends Omit<Receiver, 'waitFor'> {
  spans(): ReceivedSpan[];
}

const { root } = protobuf.loadSync(join(import.meta.dirname, 'trace.proto'));
const ExportRequest = root.lookupType('otlp.ExportTraceServiceRequest');
const ERROR = 2;

/** An OTLP receiver on a real socket, which decodes what it gets. */
export async function startCollector(t: Test): Promise<Collector> {
  const receiver = await startReceiver(t, (response, request) => {
    const isOurs = request.path === '/v1/traces' && request.method === 'POST';
    response.writeHead(isOurs ? 200 : 404, { 'content-type': 'application/x-protobuf' }).end();
  });
  return { ...receiver, spans: () => receiver.received.flatMap(({ body }) => spansOf(body)) };
}

type Attributes = { key: string; value: Record<string, string | number | boolean> }[];

function spansOf(body: Buffer): ReceivedSpan[] {
  const message = ExportRequest.toObject(ExportRequest.decode(body), {
    bytes: Buffer,
    longs: Number,
    arrays: true,
    defaults: false,
  });
  // biome-ignore lint/suspicious/noExplicitAny: protobufjs types nothing of a schema that is read at run time
  return message.resourceSpans.flatMap(({ resource, scopeSpans }: any) =>
    // biome-ignore lint/suspicious/noExplicitAny: as above
    scopeSpans.flatMap(({ spans }: any) =>
      // biome-ignore lint/suspicious/noExplicitAny: as above
      spans.map((span: any) => ({
        traceId: span.traceId.toString('hex'),
        spanId: span.spanId.toString('hex'),
        parentSpanId: span.parentSpanId?.toString('hex') ?? '',
        name: span.name,
        kind: span.kind,
        traceState: span.traceState ?? '',
        startMs: span.startTimeUnixNano / 1e6,
        endMs: span.endTimeUnixNano / 1e6,
        isError: span.status?.code === ERROR,
        attributes: plain(span.attributes),
        resource: plain(resource.attributes),
      })),
    ),
  );
}

function plain(attributes: Attributes): Record<string, string | number | boolean> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, Object.values(value)[0] ?? '']),
  );
}
