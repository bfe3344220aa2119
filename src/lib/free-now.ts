/** Smaller ones are collected cheaply, and may share their memory. */
const WORTH_IT_BYTES = 16 * 1024;

/**
 * Gives the memory of a large buffer back at once; it is empty from then on. V8 counts what lies
 * outside of its heap late: at some hundred MB a second, what nobody needs any more would grow to
 * more than all the rest.
 *
 * Only for a buffer that nobody reads any more, not the kernel either: one that is still being
 * written to a socket must be left to V8.
 */
export function freeNow(bytes: Buffer): void {
  const { buffer, length } = bytes;
  if (length < WORTH_IT_BYTES || length !== buffer.byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
