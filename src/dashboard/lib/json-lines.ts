export type TokenKind = 'key' | 'string' | 'number' | 'word' | 'mark';

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

export interface Line {
  /** How many levels it is indented. */
  readonly indent: number;
  readonly tokens: readonly Token[];
}

export interface JsonLines {
  readonly lines: readonly Line[];
  /** True: there is more than these lines. */
  readonly cut: boolean;
}

interface Bounds {
  readonly maxLines: number;
  /** Strings that are longer are cut, with a note of how much is missing. */
  readonly maxString: number;
  /** Deeper levels are not indented further. */
  readonly maxIndent: number;
}

const BOUNDS: Bounds = { maxLines: 2_000, maxString: 2_000, maxIndent: 24 };
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[[\]{}:,]/g;

/**
 * Lays out a JSON text over lines. It works on the text, not on the values: numbers keep all their digits, and fields that
 * are there twice stay. It takes bounded time and depth, whatever the text is.
 *
 * @returns null if the text is not JSON.
 */
export function layOutJson(text: string, bounds: Partial<Bounds> = {}): JsonLines | null {
  if (!isJson(text)) return null;
  const { maxLines, maxString, maxIndent } = { ...BOUNDS, ...bounds };
  const lines: Line[] = [];
  let tokens: Token[] = [];
  let depth = 0;
  let opened = false;

  const endLine = (nextDepth: number) => {
    lines.push({ indent: Math.min(depth, maxIndent), tokens });
    tokens = [];
    depth = nextDepth;
  };

  const found = [...limited(text.matchAll(TOKEN), maxLines * 8)];
  for (const [n, token] of found.entries()) {
    if (lines.length >= maxLines) return { lines, cut: true };
    const closes = token === '}' || token === ']';
    // An empty object or array stays on its line.
    if (opened && !closes) endLine(depth + 1);
    if (closes && !opened) endLine(depth - 1);
    opened = token === '{' || token === '[';
    if (token === ',') {
      tokens.push({ kind: 'mark', text: ',' });
      endLine(depth);
    } else if (token === ':') {
      tokens.push({ kind: 'mark', text: ': ' });
    } else {
      tokens.push(tokenOf(token, found[n + 1] === ':', maxString));
    }
  }
  endLine(depth);
  return { lines, cut: found.length >= maxLines * 8 };
}

function tokenOf(token: string, isKey: boolean, maxString: number): Token {
  if (token.startsWith('"')) {
    const left = token.length - maxString;
    const text = left > 0 ? `${token.slice(0, maxString)}… (${left} more characters)` : token;
    return { kind: isKey ? 'key' : 'string', text };
  }
  if (/^[-\d]/.test(token)) {
    return {
      kind: 'number',
      text: token.length > maxString ? `${token.slice(0, maxString)}…` : token,
    };
  }
  return { kind: /^[a-z]/.test(token) ? 'word' : 'mark', text: token };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function* limited(matches: Iterable<RegExpExecArray>, most: number): Generator<string> {
  let count = 0;
  for (const [token] of matches) {
    yield token;
    count += 1;
    if (count >= most) return;
  }
}
