/**
 * The content-length of an HTTP/1.1 head that ends at `headEnd`, or 0. It knows no other framing:
 * both ends of a benchmark are ours.
 */
export function readContentLength(data: Buffer, headEnd: number): number {
  const head = data.toString('latin1', 0, headEnd);
  const match = /\r\ncontent-length: *(\d+)/i.exec(head);
  return match === null ? 0 : Number(match[1]);
}
