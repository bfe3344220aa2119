/**
 * Returns the content-length of an HTTP/1.1 head that ends at `headEnd`, or 0. Other framing is not
 * supported, because the benchmark has both ends.
 */
export function readContentLength(data: Buffer, headEnd: number): number {
  const head = data.toString('latin1', 0, headEnd);
  const match = /\r\ncontent-length: *(\d+)/i.exec(head);
  return match === null ? 0 : Number(match[1]);
}
