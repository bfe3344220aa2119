/**
 * Makes text from outside, such as a receiver's certificate, storable in Postgres: removes NUL, replaces halves
 * of surrogate pairs, and cuts it to `mostChars`.
 */
export function storableText(text: string, mostChars: number): string {
  const cut = text.length > mostChars ? `${text.slice(0, mostChars - 1)}…` : text;
  return cut.replaceAll('\0', '').toWellFormed();
}
