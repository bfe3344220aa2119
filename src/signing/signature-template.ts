/** The values for the placeholders of a template. */
export type Placeholder = 'id' | 'timestamp' | 'body' | 'hex' | 'base64';

/** A parsed template: texts and the names of placeholders. */
export type Template = readonly ({ readonly text: string } | { readonly name: Placeholder })[];

/** The most characters of a template: for the signed content, or for the header's value. */
const CONTENT = ['id', 'timestamp', 'body'] as const;
const VALUE = ['id', 'timestamp', 'hex', 'base64'] as const;

const MAX_LENGTH = 200;

/**
 * Parses the signed content, such as `{timestamp}.{body}`: `{id}`, `{timestamp}` and, once, `{body}`.
 *
 * @throws Error that says what is wrong, and what would be right.
 */
export function parseSignedContent(template: string): Template {
  const parts = parse(template, CONTENT);
  const bodies = parts.filter((part) => 'name' in part && part.name === 'body').length;
  if (bodies !== 1) {
    throw new Error(
      bodies === 0
        ? 'it has no {body}, so the body would not be signed; write it as in {timestamp}.{body}'
        : 'it has {body} more than once',
    );
  }
  return parts;
}

/**
 * Parses the value of the header, such as `t={timestamp},v1={hex}`: `{id}`, `{timestamp}`, and the
 * signature as `{hex}` or `{base64}`.
 *
 * @throws Error that says what is wrong, and what would be right.
 */
export function parseSignatureValue(template: string): Template {
  const parts = parse(template, VALUE);
  if (!parts.some((part) => 'name' in part && (part.name === 'hex' || part.name === 'base64')))
    throw new Error('it has neither {hex} nor {base64}, so there would be no signature in it');
  if (template !== template.trim())
    throw new Error('it begins or ends with a space, which a header does not keep');
  return parts;
}

function parse(template: string, known: readonly Placeholder[]): Template {
  if (template.length > MAX_LENGTH)
    throw new Error(`it has ${template.length} characters; at most ${MAX_LENGTH} are allowed`);
  if (!/^[ -~]*$/.test(template)) throw new Error('it may have only ASCII characters, in one line');
  return template
    .split(/(\{[^{}]*\})/)
    .filter((part) => part !== '')
    .map((part) => {
      const name = /^\{(.*)\}$/.exec(part)?.[1] as Placeholder | undefined;
      const names = known.map((placeholder) => `{${placeholder}}`).join(', ');
      if (name === undefined) {
        if (/[{}]/.test(part))
          throw new Error(
            `it has a brace that belongs to no placeholder; known placeholders are ${names}`,
          );
        return { text: part };
      }
      if (!known.includes(name))
        throw new Error(`${part} is not known here; known placeholders are ${names}`);
      return { name };
    });
}
