/**
 * Returns the candidate with the smallest edit distance from `text`, if that is at most a third of the text's
 * length. Undefined if no candidate is near enough.
 *
 * @example nearest('POSTHORN_MAX_BDY', ['POSTHORN_MAX_BODY']) // 'POSTHORN_MAX_BODY'
 */
export function nearest<T extends string>(text: string, candidates: readonly T[]): T | undefined {
  let best: T | undefined;
  let bestDistance = Math.floor(text.length / 3) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(text.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (previous[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(substituted, (previous[j] as number) + 1, (row[j - 1] as number) + 1));
    }
    previous = row;
  }
  return previous[b.length] as number;
}
