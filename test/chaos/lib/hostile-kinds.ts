/** The expected end of an attempt at a hostile receiver. */
export interface HostileEnd {
  readonly status: 'success' | 'failed' | 'timeout';
  readonly errorCode: string | null;
  /** A part of the sentence for people, if an error code has several causes. */
  readonly says?: RegExp;
  readonly scheme?: 'https';
  /** Which one it shows; without it there is no TLS on its side. */
  readonly certificate?: 'expired' | 'other';
}

export type HostileKind =
  | 'never accepts'
  | 'accepts and is silent'
  | 'drips headers'
  | 'drips the body'
  | 'endless body'
  | 'endless chunks'
  | '5,000 headers'
  | 'a header of 64 KiB'
  | 'headers without an end'
  | 'flood of 103'
  | 'gzip bomb'
  | 'resets within the body'
  | 'hangs in the TLS handshake'
  | 'certificate expired'
  | 'certificate of another name'
  | 'redirect to itself'
  | 'redirect to a private address'
  | 'answers twice'
  | 'HTTP/0.9'
  | 'answers before it has read'
  | '204 with a body';

const success = { status: 'success', errorCode: null } as const;
const late = (errorCode: string) => ({ status: 'timeout', errorCode }) as const;
const failed = (errorCode: string) => ({ status: 'failed', errorCode }) as const;

/** Every kind of hostile receiver, and how its attempts must end. */
export const HOSTILE: Readonly<Record<HostileKind, HostileEnd>> = {
  'never accepts': late('timeout_connect'),
  'accepts and is silent': late('timeout_response'),
  'drips headers': late('timeout_response'),
  'drips the body': { ...success, errorCode: 'answer_cut_off' },
  'endless body': { ...success, errorCode: 'answer_cut_off' },
  'endless chunks': { ...success, errorCode: 'answer_cut_off' },
  '5,000 headers': success,
  'a header of 64 KiB': success,
  'headers without an end': failed('too_large'),
  'flood of 103': failed('protocol'),
  'gzip bomb': success,
  'resets within the body': { ...success, errorCode: 'answer_cut_off' },
  'hangs in the TLS handshake': { ...late('timeout_connect'), scheme: 'https' },
  'certificate expired': {
    ...failed('tls'),
    scheme: 'https',
    certificate: 'expired',
    says: /certificate has expired/,
  },
  'certificate of another name': {
    ...failed('tls'),
    scheme: 'https',
    certificate: 'other',
    says: /does not match/,
  },
  'redirect to itself': failed('redirect'),
  'redirect to a private address': { ...failed('redirect'), says: /169\.254\.169\.254/ },
  'answers twice': success,
  'HTTP/0.9': failed('protocol'),
  'answers before it has read': success,
  '204 with a body': success,
};
