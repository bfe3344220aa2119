// The table of a JSON Schema.
import t from 'tap';
import { schemaRows } from '../../src/dashboard/lib/schema-rows.ts';

const lines = (schema: unknown, root?: unknown) =>
  schemaRows(schema, root).rows.map(({ path, type, required, rules }) =>
    [path, type, required ? 'required' : '', ...rules].filter(Boolean).join(' | '),
  );

t.test('it lists fields with their types and rules, from the outside in', async (t) => {
  const schema = {
    type: 'object',
    required: ['id', 'lines'],
    properties: {
      id: { type: 'integer', minimum: 1, description: 'The number.' },
      at: { type: ['string', 'null'], format: 'date-time' },
      state: { enum: ['open', 'paid', null], default: 'open' },
      lines: {
        type: 'array',
        minItems: 1,
        items: {
          type: 'object',
          required: ['sku'],
          properties: { sku: { type: 'string', pattern: '^[A-Z]+$', maxLength: 8 } },
        },
      },
      tags: { type: 'array', items: { type: 'string', minLength: 1 } },
      point: { prefixItems: [{ type: 'number' }, { type: 'number' }] },
      kind: { const: 'order' },
      anything: true,
      nothing: false,
    },
    additionalProperties: { type: 'number' },
    patternProperties: { '^x-': { type: 'string' } },
  };
  t.strictSame(lines(schema), [
    'id | integer | required | at least 1',
    'at | string (date-time) or null',
    'state | string or null | one of "open", "paid", null | "open" if it is left out',
    'lines | array of object | required | at least 1 item',
    'lines[].sku | string | required | at most 8 characters | matches ^[A-Z]+$',
    'tags | array of string',
    'tags[] | string | at least 1 character',
    'point | array',
    'point[0] | number',
    'point[1] | number',
    'kind | always "order"',
    'anything | anything',
    'nothing | nothing',
    '{^x-} | string',
    '{any other} | number',
  ]);
  t.equal(schemaRows(schema).rows[0]?.description, 'The number.');
  t.ok(schemaRows(schema).complete);
});

t.test('references are followed, and those that lead back end', async (t) => {
  const document = {
    components: {
      schemas: {
        'tree.grown': {
          type: 'object',
          properties: {
            size: { $ref: '#/components/schemas/tree.grown/$defs/a~1b', description: 'In metres.' },
            left: { $ref: '#/components/schemas/tree.grown' },
            gone: { $ref: '#/nowhere' },
            self: { $ref: '#/components/schemas/tree.grown/properties/self' },
          },
          $defs: { 'a/b': { type: 'number' } },
        },
        own: {
          $id: 'https://example.com/own',
          properties: { money: { $ref: '#/$defs/money' } },
          $defs: { money: { type: 'string' } },
        },
      },
    },
  };
  const at = (name: string) => ({ $ref: `#/components/schemas/${name}` });
  t.strictSame(lines({ properties: { data: at('tree.grown') } }, document), [
    'data | object',
    'data.size | number',
    'data.left | object | the same fields as data',
    'data.gone | anything',
    'data.self | anything',
  ]);
  t.strictSame(lines(at('own'), document), ['money | string'], 'relative to its own id');
});

t.test('forms are named, and what the table leaves out is told', async (t) => {
  const either = {
    properties: { kind: { type: 'string' } },
    allOf: [{ properties: { id: { type: 'integer' } } }],
    oneOf: [
      { title: 'card', properties: { last4: { type: 'string' } } },
      { properties: { iban: { type: 'string' } } },
    ],
  };
  t.strictSame(lines(either), [
    'kind | string',
    'id | integer',
    'last4 | string | in card',
    'iban | string | in form 2 of 2',
  ]);
  t.equal(schemaRows({ properties: { a: { not: {} } } }).complete, false);
});

t.test('no schema takes long', async (t) => {
  const chain = (refs: number) =>
    Object.fromEntries(
      Array.from({ length: 30 }, (_, n) => [
        `s${n}`,
        { allOf: Array.from({ length: refs }, () => ({ $ref: `#/$defs/s${n + 1}` })) },
      ]),
    );
  const wide = Object.fromEntries(Array.from({ length: 2_000 }, (_, n) => [`f${n}`, true]));
  let deep: object = { type: 'string' };
  for (let n = 0; n < 250; n += 1) deep = { properties: { a: deep } };
  for (const schema of [
    { $ref: '#/$defs/s0', $defs: chain(20) },
    { properties: { x: { $ref: '#/$defs/s0' }, y: { $ref: '#/$defs/s0' } }, $defs: chain(20) },
    { properties: wide },
    deep,
  ]) {
    const startedAt = process.cpuUsage();
    const { rows, complete } = schemaRows(schema);
    const { user } = process.cpuUsage(startedAt);
    t.ok(user < 500_000, `${user} µs`);
    t.ok(rows.length <= 300);
    t.equal(complete, false);
  }
  for (const odd of [
    null,
    7,
    'x',
    [],
    { properties: 5, items: 'x', allOf: 'y', required: {}, type: 7 },
  ])
    t.strictSame(lines(odd), [], JSON.stringify(odd));
});
