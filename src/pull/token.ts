/** Names the lease of a delivery: what its receiver gives back when it acknowledges it. */
export interface LeaseName {
  readonly webhookId: string;
  readonly token: number;
}

const BYTES = 16 + 4;

/** Writes the token of a lease, which is opaque to receivers. */
export function writeToken({ webhookId, token }: LeaseName): string {
  const bytes = Buffer.alloc(BYTES);
  bytes.write(webhookId.replaceAll('-', ''), 'hex');
  bytes.writeInt32BE(token, 16);
  return bytes.toString('base64url');
}

/** Reads the token of a lease; undefined if no lease has such a token. */
export function readToken(text: string): LeaseName | undefined {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.length !== BYTES || bytes.toString('base64url') !== text) return undefined;
  const hex = bytes.toString('hex', 0, 16);
  return {
    webhookId: `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`,
    token: bytes.readInt32BE(16),
  };
}
