const UNIT_BYTES = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 1024,
  MIB: 1024 ** 2,
  GIB: 1024 ** 3,
} as const;

/**
 * Reads a size as people write it (`512KiB`, `1MiB`, `2MB`, or plain bytes).
 *
 * @example parseBytes('1MiB') // 1_048_576
 * @throws Error whose message says what a size looks like.
 */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|KiB|MiB|GiB)?$/i.exec(text.trim());
  if (!match) throw new Error(`"${text}" is not a size; write 512KiB, 1MiB or a number of bytes`);
  const unit = (match[2] ?? 'B').toUpperCase() as keyof typeof UNIT_BYTES;
  return Math.round(Number(match[1]) * UNIT_BYTES[unit]);
}

/**
 * Writes a size in the largest binary unit that keeps it whole.
 *
 * @example formatBytes(1_048_576) // '1MiB'
 */
export function formatBytes(bytes: number): string {
  for (const [unit, size] of [
    ['GiB', UNIT_BYTES.GIB],
    ['MiB', UNIT_BYTES.MIB],
    ['KiB', UNIT_BYTES.KIB],
  ] as const) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return `${bytes} bytes`;
}
