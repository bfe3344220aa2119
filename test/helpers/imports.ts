// OpenAPI documents to be imported, and the worst of them.

type Json = Record<string, unknown>;

const many = <T>(number: number, make: (n: number) => T): T[] =>
  Array.from({ length: number }, (_, n) => make(n));
export const object = (number: number, make: (n: number) => [string, unknown]): Json =>
  Object.fromEntries(many(number, make));
export const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
export const post = (schema: unknown, more: Json = {}) => ({
  post: { requestBody: { content: { 'application/json': { schema, ...more } } } },
});
export const webhooks = (number: number, schema: unknown, more: Json = {}) =>
  object(number, (n) => [`order.type${n}`, post(schema, more)]);
export const document = (hooks: Json, schemas: Json = {}, components: Json = {}): string =>
  JSON.stringify({ openapi: '3.1.0', webhooks: hooks, components: { schemas, ...components } });
export const strings = (number: number) => ({
  type: 'object',
  properties: object(number, (n) => [`property${n}`, { type: 'string' }]),
});
/** JSON.stringify does not write it. */
const nested = (open: string, close: string, depth: number, inner = '1') =>
  `${open.repeat(depth)}${inner}${close.repeat(depth)}`;
const spliced = (text: string, json: string) => text.replace('"HERE"', () => json);
const chain = (number: number, link: (next: Json) => unknown): Json =>
  object(number, (n) => [`c${n}`, n === number - 1 ? { type: 'string' } : link(ref(`c${n + 1}`))]);

const PLACE = /^body\.webhooks\.order\.(created|type\d+)(\.|$)/;
const HERE = { 'order.created': post('HERE') };
const DEEP_OBJECT = nested('{"items":', '}', 100_000, '{}');

/** Imports that are refused: their field, and what its message says. */
export const HOSTILE: [what: string, body: string, field: RegExp, message: RegExp][] = [
  [
    '1,000 webhooks of one large component',
    document(webhooks(1000, ref('Large')), { Large: strings(18_000) }),
    PLACE,
    /32768/,
  ],
  [
    '1,000 webhooks of one component that fits',
    document(webhooks(1000, ref('Fits')), { Fits: strings(700) }),
    /^body\.webhooks$/,
    /8388608 bytes/,
  ],
  [
    'a chain of 10,000 references',
    document(
      { 'order.created': post(ref('c0')) },
      chain(10_000, (next) => next),
    ),
    PLACE,
    /more than 20 times/,
  ],
  [
    'such a chain through allOf',
    document(
      { 'order.created': post(ref('c0')) },
      chain(10_000, (next) => ({ allOf: [next] })),
    ),
    PLACE,
    /32768/,
  ],
  [
    'such a chain through properties',
    document(
      { 'order.created': post(ref('c0')) },
      chain(10_000, (next) => ({ properties: { a: next } })),
    ),
    PLACE,
    /32768/,
  ],
  [
    'a reference to itself',
    document({ 'order.created': post(ref('A')) }, { A: ref('A') }),
    PLACE,
    /itself/,
  ],
  [
    'two that refer to each other',
    document({ 'order.created': post(ref('A')) }, { A: ref('B'), B: ref('A') }),
    PLACE,
    /itself/,
  ],
  [
    'a path item that refers to itself',
    document({ 'order.created': { $ref: '#/webhooks/order.created' } }),
    PLACE,
    /itself/,
  ],
  [
    'a request body that refers to itself',
    document(
      { 'order.created': { post: { requestBody: { $ref: '#/components/requestBodies/A' } } } },
      {},
      { requestBodies: { A: { $ref: '#/components/requestBodies/A' } } },
    ),
    PLACE,
    /itself/,
  ],
  [
    'an example that refers to itself',
    document(
      { 'order.created': post({}, { examples: { a: { $ref: '#/components/examples/A' } } }) },
      {},
      { examples: { A: { $ref: '#/components/examples/A' } } },
    ),
    PLACE,
    /itself/,
  ],
  [
    'a reference of 900,000 characters',
    document({ 'order.created': post({ $ref: `#/components/schemas/${'a/'.repeat(450_000)}` }) }),
    PLACE,
    /at most 1000/,
  ],
  [
    'such a one within a schema',
    document({
      'order.created': post({ items: { $ref: `#/components/schemas/${'a'.repeat(900_000)}` } }),
    }),
    PLACE,
    /at most 1000/,
  ],
  [
    'a schema nested 100,000 deep',
    spliced(document(HERE), DEEP_OBJECT),
    PLACE,
    /too deeply; at most 256/,
  ],
  [
    'a component nested 100,000 deep',
    spliced(document({ 'order.created': post({ items: ref('A') }) }, { A: 'HERE' }), DEEP_OBJECT),
    PLACE,
    /too deeply; at most 256/,
  ],
  [
    'an array nested 100,000 deep in a schema',
    spliced(document({ 'order.created': post({ enum: 'HERE' }) }), nested('[', ']', 100_000)),
    PLACE,
    /too deeply; at most 256/,
  ],
  [
    'an example nested 100,000 deep',
    spliced(
      document({ 'order.created': post({}, { example: 'HERE' }) }),
      nested('[', ']', 100_000),
    ),
    PLACE,
    /example.*too deeply; at most 256/,
  ],
  [
    'an example of 900,000 bytes',
    document({ 'order.created': post({}, { example: 'x'.repeat(900_000) }) }),
    PLACE,
    /example.*65536/,
  ],
  [
    '1,000 references to one large example',
    document(
      webhooks(1000, {}, { examples: { a: { $ref: '#/components/examples/A' } } }),
      {},
      { examples: { A: { value: 'x'.repeat(60_000) } } },
    ),
    /^body\.webhooks$/,
    /8388608 bytes/,
  ],
  [
    '40,000 webhooks',
    document(object(40_000, (n) => [`t${n}`, {}])),
    /^body\.webhooks$/,
    /40000 webhooks; at most 1000/,
  ],
  [
    '1,000 webhooks with names of 900 characters',
    document(object(1000, (n) => [`${n}${'a'.repeat(900)}`, { post: {} }])),
    /^body\.webhooks\.0a+…$/,
    /at most 128/,
  ],
  [
    'a name of 900,000 characters',
    document({ ['a'.repeat(900_000)]: {} }),
    /^body\.webhooks\.a+…$/,
    /post/,
  ],
  [
    'a description of 20,000 characters',
    document({ 'order.created': { post: { description: 'x'.repeat(20_000) } } }),
    /created\.post\.description$/,
    /20000 characters; at most 1000/,
  ],
  [
    'a summary of 1,001 characters',
    document({ 'order.created': { post: { summary: 'x'.repeat(1001) } } }),
    /created\.post\.summary$/,
    /1001 characters; at most 1000/,
  ],
  [
    'U+0000 in a summary',
    document({ 'order.created': { post: { summary: 'a\0b' } } }),
    /created\.post\.summary$/,
    /U\+0000/,
  ],
  [
    'half of a surrogate pair in a description',
    document({ 'order.created': { post: { description: 'a\ud800b' } } }),
    /created\.post\.description$/,
    /surrogate/,
  ],
  ['U+0000 in a name', document({ 'a\0b': { post: {} } }), /^body\.webhooks\.a/, /event type/],
  [
    'half of a surrogate pair in a name',
    document({ 'a\udc00b': { post: {} } }),
    /^body\.webhooks\.a/,
    /event type/,
  ],
  [
    'a reference to elsewhere in the document',
    document({ 'order.created': post({ items: { $ref: '#/webhooks/order.created/post' } }) }),
    PLACE,
    /resolve/,
  ],
  [
    'a schema that takes long to compile',
    document({
      'order.created': post({
        allOf: many(700, () => ({ $ref: '#/$defs/a' })),
        $defs: { a: strings(300) },
      }),
    }),
    PLACE,
    /took longer than 1000 ms|took more memory/,
  ],
  [
    'references between schemas by 400 of them',
    document(
      webhooks(400, { allOf: many(8, (n) => ref(`s${n}`)) }),
      object(400, (n) => [`s${n}`, { allOf: many(8, (m) => ref(`s${(n * 8 + m) % 400}`)) }]),
    ),
    /^body\.webhooks/,
    /bytes/,
  ],
  ['a webhook that is no object', document({ 'order.created': null }), PLACE, /must be an object/],
  [
    '100,000 levels where nobody looks, and no webhooks',
    `{"openapi":"3.1.0","info":${nested('[', ']', 100_000)},"webhooks":{}}`,
    /^body\.webhooks$/,
    /one webhook/,
  ],
  ['an array', '[]', /^body$/, /object/],
];
