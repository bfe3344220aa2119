import t from 'tap';
import { parseSignatureValue, parseSignedContent } from '../../src/signing/signature-template.ts';

t.test(
  'templates of the signed content and of the header are read, or refused with the reason',
  async (t) => {
    for (const good of [
      '{body}',
      '{timestamp}.{body}',
      'v0:{timestamp}:{body}',
      '{id}.{id}{body}|',
    ])
      t.doesNotThrow(() => parseSignedContent(good), good);
    for (const good of ['{hex}', '{base64}', 't={timestamp},v1={hex}', '{id};{hex};{base64} end'])
      t.doesNotThrow(() => parseSignatureValue(good), good);
    const bad: [read: (template: string) => unknown, template: string, why: RegExp][] = [
      [parseSignedContent, '', /no \{body\}/],
      [parseSignedContent, '{timestamp}', /no \{body\}/],
      [parseSignedContent, '{body}{body}', /more than once/],
      [
        parseSignedContent,
        '{hex}{body}',
        /\{hex\} is not known here; known placeholders are \{id\}, \{timestamp\}/,
      ],
      [parseSignedContent, '{bdy}', /\{bdy\} is not known/],
      [parseSignedContent, '{body', /brace/],
      [parseSignedContent, '{{body}}', /brace/],
      [parseSignedContent, 'é{body}', /ASCII/],
      [parseSignedContent, `{body}${'x'.repeat(200)}`, /206 characters; at most 200/],
      [parseSignatureValue, 't={timestamp}', /neither \{hex\} nor \{base64\}/],
      [parseSignatureValue, '{body}{hex}', /\{body\} is not known here/],
      [parseSignatureValue, '{hex}\r\nx: y', /one line/],
      [parseSignatureValue, ' {hex}', /begins or ends with a space/],
      [parseSignatureValue, '{hex}\t', /one line/],
      [parseSignatureValue, '{}{hex}', /\{\} is not known/],
    ];
    for (const [read, template, why] of bad)
      t.throws(() => read(template), { message: why }, JSON.stringify(template));
  },
);
