import type { Logger } from 'pino';
import type { AttemptResult } from '../deliveries/record.sql.ts';
import { errorCode, OperatorError } from '../lib/errors.ts';
import type { TraceContext } from './trace-context.ts';

/** The settings of traces: OTEL_EXPORTER_OTLP_ENDPOINT and the other variables of OpenTelemetry. */
export interface TracingSettings {
  /** The URL to which traces are posted. */
  readonly url: string;
  /** OTEL_TRACES_SAMPLER: what is recorded. */
  readonly sampler: string;
  /** OTEL_TRACES_SAMPLER_ARG: the share of traces that are recorded, if the sampler takes a share. */
  readonly ratio: number;
  /** The variables of OpenTelemetry that are set in a .env file, by name. */
  readonly variables: Readonly<Record<string, string>>;
}

/** The span of a request that hands webhooks in. */
export interface RequestSpan {
  /** The trace that its webhooks are stored with. */
  readonly context: TraceContext;
  end(status: number): void;
}

/** The span of an attempt: from the time at which it was due, until its result is recorded. */
export interface AttemptSpan {
  /** The trace that the receiver gets. */
  readonly context: TraceContext;
  /** The request has ended: with the status of an answer, or the code of an error. */
  sent(status: number | undefined, errorCode: string | null): void;
  /** The result is recorded. A span that does not end, because no attempt was made after all, is not exported. */
  end(result: AttemptResult): void;
}

/** The facts about an attempt that are known when it begins. */
export interface BegunAttempt {
  readonly webhookId: string;
  readonly subscriptionId: number;
  readonly tenant: string;
  readonly attemptNumber: number;
  readonly bytes: number;
  readonly url: URL;
  /** The time since the attempt was due. */
  readonly waitedMs: number;
  readonly stored: TraceContext | null;
}

/** How many spans were made, and how many of them the collector has taken. The others wait, or are lost. */
export interface SpanCounts {
  readonly ended: number;
  readonly exported: number;
  /** Requests and attempts without a span, because there were too many in a second. */
  readonly skipped: number;
}

/**
 * Makes spans, and exports them in the background. No function waits or throws. Above a number of requests and attempts
 * a second there is no span for the others: they pass the trace on as it is.
 */
export interface Tracing {
  /** @param route the pattern of its path. */
  beginRequest(method: string, route: string, parent: TraceContext | null): RequestSpan | null;
  beginAttempt(attempt: BegunAttempt): AttemptSpan | null;
  readonly counts: SpanCounts;
  /** Exports what is left, within two seconds. */
  stop(): Promise<void>;
}

/**
 * Loads OpenTelemetry, and begins to export traces. It is loaded only here, so a service without traces neither
 * starts more slowly nor needs more memory.
 *
 * @throws OperatorError if its packages are not installed.
 */
export async function createTracing(settings: TracingSettings, log: Logger): Promise<Tracing> {
  // OpenTelemetry reads its variables from the environment.
  for (const [name, value] of Object.entries(settings.variables)) process.env[name] = value;
  try {
    const { createOpenTelemetry } = await import('./open-telemetry.ts');
    return createOpenTelemetry(settings, log);
  } catch (error) {
    if (errorCode(error) !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new OperatorError(
      'OTEL_EXPORTER_OTLP_ENDPOINT is set, but the packages of OpenTelemetry are not installed. They are optional dependencies: install posthorn without --omit=optional, or remove the setting.',
    );
  }
}
