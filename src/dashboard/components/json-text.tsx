import { useMemo } from 'preact/hooks';
import { formatBytes } from '../lib/format.ts';
import { layOutJson } from '../lib/json-lines.ts';
import { Scroll } from './scroll.tsx';

/** A longer text is shown raw: laying it out would hold up the page. */
const MAX_PRETTY = 1024 * 1024;
const MAX_RAW = 64 * 1024;

interface JsonTextProps {
  readonly text: string;
  /** What it is, for screen readers. */
  readonly label: string;
  /** Shows it as it is, even if it is JSON. */
  readonly raw?: boolean;
}

/** A text that may be JSON: laid out with colours if it is, and only so much of it as a page can show. */
export function JsonText({ text, label, raw = false }: JsonTextProps) {
  const json = useMemo(
    () => (raw || text.length > MAX_PRETTY ? null : layOutJson(text)),
    [text, raw],
  );
  const cut = json === null ? text.length > MAX_RAW : json.cut;
  return (
    <>
      <Scroll label={label}>
        {json === null
          ? text.slice(0, MAX_RAW)
          : json.lines.map(({ indent, tokens }, n) => (
              <span key={n} class="json-line">
                {'  '.repeat(indent)}
                {tokens.map((token, m) => (
                  <span key={m} class={`json-${token.kind}`}>
                    {token.text}
                  </span>
                ))}
              </span>
            ))}
      </Scroll>
      {cut && (
        <p class="hint">
          Only the beginning is shown: the whole has {formatBytes(new Blob([text]).size)}.
        </p>
      )}
    </>
  );
}
