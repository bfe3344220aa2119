import { TOKEN } from '../lib/http-syntax.ts';
import { parseSignatureValue, parseSignedContent } from '../signing/signature-template.ts';
import { isReserved, PolicyError, readAs } from './policy.ts';

/** A custom signature header, for receivers that were built for another sender. */
export interface SigningColumns {
  /** The name of the header. Null: no custom header. */
  readonly signature_header: string | null;
  /** Its value, such as `t={timestamp},v1={hex}`. Null: `{hex}`. */
  readonly signature_template: string | null;
  /** The signed text, such as `{timestamp}.{body}`. Null: `{body}`. */
  readonly signature_content: string | null;
}

const MAX_NAME_LENGTH = 100;
/** Headers that describe the body, and those of Standard Webhooks. */
const RESERVED_PREFIX = /^(?:content|webhook)-/;

/**
 * Turns the given fields of a signature header into columns.
 *
 * @throws PolicyError naming the field, what is wrong with it, and what would be right.
 */
export function signingColumns(given: Partial<SigningColumns>): Partial<SigningColumns> {
  const { signature_header, signature_template, signature_content } = given;
  if (typeof signature_header === 'string') judgeHeaderName(signature_header);
  explained('signature_template', signature_template, parseSignatureValue);
  explained('signature_content', signature_content, parseSignedContent);
  return { signature_header, signature_template, signature_content } as Partial<SigningColumns>;
}

/** @throws PolicyError for a name that is not valid, or that receivers may read as the name of another header. */
export function judgeHeaderName(name: string): void {
  const refuse = (message: string) => {
    throw new PolicyError('signature_header', message);
  };
  const normalized = readAs(name);
  if (!TOKEN.test(name)) refuse('it is not a header name; use letters, digits and -');
  if (name.length > MAX_NAME_LENGTH)
    refuse(`it has ${name.length} characters; at most ${MAX_NAME_LENGTH} are allowed`);
  if (isReserved(name) || RESERVED_PREFIX.test(normalized) || normalized === 'user-agent') {
    refuse(
      'that header is set by Posthorn or belongs to the connection; choose another, such as X-Signature',
    );
  }
}

function explained(
  field: string,
  template: string | null | undefined,
  parse: (template: string) => unknown,
): void {
  if (template === undefined || template === null) return;
  try {
    parse(template);
  } catch (error) {
    throw new PolicyError(field, (error as Error).message);
  }
}
