import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base';
import type { Logger } from 'pino';
import { errorMessage } from '../lib/errors.ts';

export interface WatchedExports {
  readonly exporter: SpanExporter;
  /** The spans that the collector has taken. */
  readonly exported: number;
}

/** ExportResultCode.SUCCESS of @opentelemetry/core. */
const SUCCESS = 0;

/**
 * Counts what an exporter has exported, and logs when it begins to fail and when it works again. A collector that is
 * away is no reason to warn each time, and none for `/readyz` to answer 503: webhooks are delivered all the same.
 */
export function watchExports(exporter: SpanExporter, log: Logger): WatchedExports {
  let exported = 0;
  let failing = false;
  return {
    exporter: {
      export(spans: ReadableSpan[], done) {
        exporter.export(spans, (result) => {
          if (result.code === SUCCESS) {
            exported += spans.length;
            if (failing) log.info('traces are exported again');
            failing = false;
          } else {
            if (!failing)
              log.warn(
                { reason: errorMessage(result.error) },
                'traces cannot be exported; spans are dropped until the collector answers (OTEL_EXPORTER_OTLP_ENDPOINT)',
              );
            failing = true;
          }
          done(result);
        });
      },
      shutdown: () => exporter.shutdown(),
    },
    get exported() {
      return exported;
    },
  };
}
