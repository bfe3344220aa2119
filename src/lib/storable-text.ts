/**
 * Text that Postgres takes whatever it came from, such as a receiver's certificate: without NUL, with a mark
 * for each half of a character, and no longer than `mostChars`.
 */
export function storableText(text: string, mostChars: number): string {
  const cut = text.length > mostChars ? `${text.slice(0, mostChars - 1)}…` : text;
  return cut.replaceAll('\0', '').toWellFormed();
}
