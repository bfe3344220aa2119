/** The columns of delivery_attempts that say how the request was made. */
export interface RequestColumns {
  readonly first_byte_ms: number | null;
  readonly dns_ms: number | null;
  readonly connect_ms: number | null;
  readonly tls_ms: number | null;
  readonly webhook_timestamp: number | null;
}

export const REQUEST_COLUMNS = [
  'first_byte_ms',
  'dns_ms',
  'connect_ms',
  'tls_ms',
  'webhook_timestamp',
] as const satisfies readonly (keyof RequestColumns)[];

/** A column of connecting that has this much may stand for more. */
const MOST_MS = 32_767;

/** How long each phase of an attempt took, in milliseconds. See `PhaseTimes`. */
export interface AttemptTiming {
  /** Null: no connection was needed, or it is not known. */
  readonly connection: 'new' | 'reused' | null;
  readonly dns: number | null;
  readonly connect: number | null;
  readonly tls: number | null;
  readonly first_byte: number | null;
  readonly body: number | null;
}

/** Returns the phases of an attempt, from its row. */
export function timingOf({
  first_byte_ms: first_byte,
  dns_ms: dns,
  connect_ms: connect,
  tls_ms: tls,
  duration_ms,
  response_code,
}: Omit<RequestColumns, 'webhook_timestamp'> & {
  readonly duration_ms: number;
  readonly response_code: number | null;
}): AttemptTiming {
  const connecting = [dns, connect, tls];
  const isNew = connecting.some((ms) => ms !== null);
  const isExact = connecting.every((ms) => ms !== MOST_MS);
  const before = [...connecting, first_byte].reduce<number>((sum, ms) => sum + (ms ?? 0), 0);
  const answered = response_code !== null && first_byte !== null;
  return {
    connection: isNew ? 'new' : first_byte === null ? null : 'reused',
    dns,
    connect,
    tls,
    first_byte,
    body: answered && isExact ? Math.max(0, duration_ms - before) : null,
  };
}
