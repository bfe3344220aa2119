/**
 * Returns the source text of each member of a JSON object. The signed and delivered text must be the given
 * text: parsing and writing it again would change numbers beyond 2^53, the spelling of strings and the order
 * of keys.
 *
 * @param text a JSON object that `JSON.parse` has accepted.
 * @returns the texts by name; the last text of a repeated name, as in `JSON.parse`.
 * @example memberSources('{"a": 1.0, "b":[ ]}') // Map { 'a' => '1.0', 'b' => '[ ]' }
 */
export function memberSources(text: string): Map<string, string> {
  const members = new Map<string, string>();
  for (let at = skipSpace(text, skipSpace(text, 0) + 1); text[at] !== '}'; ) {
    const nameEnd = skipString(text, at);
    const name = JSON.parse(text.slice(at, nameEnd)) as string;
    const start = skipSpace(text, skipSpace(text, nameEnd) + 1);
    const end = skipValue(text, start);
    members.set(name, text.slice(start, end));
    at = skipSeparator(text, end);
  }
  return members;
}

/**
 * Returns the source text of each element of a JSON array.
 *
 * @param text a JSON array that `JSON.parse` has accepted.
 */
export function elementSources(text: string): string[] {
  const elements: string[] = [];
  for (let at = skipSpace(text, skipSpace(text, 0) + 1); text[at] !== ']'; ) {
    const end = skipValue(text, at);
    elements.push(text.slice(at, end));
    at = skipSeparator(text, end);
  }
  return elements;
}

/** Each of these functions takes the start of a part of the text, and returns its end. */
function skipSpace(text: string, at: number): number {
  let end = at;
  while (' \t\n\r'.includes(text[end] ?? 'x')) end += 1;
  return end;
}

function skipSeparator(text: string, at: number): number {
  const separator = skipSpace(text, at);
  return text[separator] === ',' ? skipSpace(text, separator + 1) : separator;
}

function skipString(text: string, at: number): number {
  let end = at + 1;
  while (text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
  return end + 1;
}

function skipValue(text: string, at: number): number {
  if (text[at] === '"') return skipString(text, at);
  if (text[at] !== '{' && text[at] !== '[') {
    let end = at;
    while (end < text.length && !',]} \t\n\r'.includes(text[end] as string)) end += 1;
    return end;
  }
  let depth = 0;
  for (let end = at; ; ) {
    const character = text[end];
    if (character === '"') {
      end = skipString(text, end);
      continue;
    }
    end += 1;
    if (character === '{' || character === '[') depth += 1;
    else if (character === '}' || character === ']') {
      depth -= 1;
      if (depth === 0) return end;
    }
  }
}
