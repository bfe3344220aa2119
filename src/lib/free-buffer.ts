/** Smaller buffers are collected cheaply, and may share their memory. */
const MIN_BYTES = 16 * 1024;

/**
 * Frees the memory of a large buffer at once; the buffer is empty from then on. V8 collects memory outside of
 * its heap late: at some hundred MB a second, unused buffers would grow larger than everything else.
 *
 * Only for a buffer that is no longer read, not even by the kernel: a buffer that is still being written to a
 * socket must be left to V8.
 */
export function freeBuffer(bytes: Buffer): void {
  const { buffer, length } = bytes;
  if (length < MIN_BYTES || length !== buffer.byteLength) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
