/** Returns the time in a UUIDv7, in milliseconds since 1970. */
export function msOfId(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

/** Returns the smallest id of a time, as posthorn.uuidv7_floor does. */
export function floorOf(at: Date): string {
  const ms = Math.min(Math.max(Math.floor(at.getTime()), 0), 2 ** 48 - 1);
  const hex = ms.toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}
