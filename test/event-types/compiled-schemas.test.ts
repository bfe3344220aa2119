import t from 'tap';
import { compileSchema, createCompiledSchemas } from '../../src/event-types/compiled-schemas.ts';

t.test('a tenant displaces only its own schemas', async (t) => {
  const compilations: string[] = [];
  const schemas = createCompiledSchemas(1_000, (schema) => {
    compilations.push(schema);
    return 'compiled';
  });
  const small = Array.from({ length: 5 }, (_, n) => `small ${n}`.padEnd(20));
  for (const schema of small) schemas.get('small', schema);
  for (let n = 0; n < 1_000; n += 1) schemas.get('large', `large ${n}`.padEnd(90));
  compilations.length = 0;
  for (const schema of small) schemas.get('small', schema);
  t.strictSame(compilations, [], 'all of the other are still there');
  schemas.get('large', 'large 999'.padEnd(90));
  t.strictSame(compilations, [], 'and its own last one');
  schemas.get('large', 'large 0'.padEnd(90));
  t.equal(compilations.length, 1, 'and its own first one is not');
});

t.test('the schemas that were used last are kept', async (t) => {
  let compilations = 0;
  const schemas = createCompiledSchemas(100, () => {
    compilations += 1;
    return 'compiled';
  });
  for (let n = 0; n < 50; n += 1) {
    schemas.get('a', 'used again and again');
    schemas.get('a', `new ${n}`.padEnd(30));
  }
  t.equal(compilations, 51);
});

t.test(
  'the same schema of two tenants is compiled for each, and one larger than all room works',
  async (t) => {
    const schemas = createCompiledSchemas(10, (schema) => schema);
    t.equal(schemas.get('a', 'larger than all the room'), 'larger than all the room');
    t.equal(schemas.get('b', 'larger than all the room'), 'larger than all the room');
  },
);

t.test('a schema refers to nothing of another one', async (t) => {
  const defines = '{"$id":"https://example.com/a","$defs":{"b":{"$id":"https://example.com/b"}}}';
  t.type(compileSchema(defines), 'function');
  t.type(compileSchema(defines), 'function', 'twice');
  t.match(compileSchema('{"$ref":"https://example.com/b"}'), /resolve/);
  t.type(compileSchema('{"$ref":"https://json-schema.org/draft/2020-12/schema"}'), 'function');
});

t.test('a schema cannot use features that JSON Schema does not have', async (t) => {
  t.match(compileSchema('{"$async":true,"type":"string"}'), /\$async/);
  const nested = '{"$ref":"#/$defs/a","$defs":{"a":{"$async":true,"type":"string"}}}';
  t.type(compileSchema(nested), 'string');
  const inline = compileSchema('{"items":{"$async":true,"type":"string"}}');
  t.equal(typeof inline === 'function' && inline([1]), false);
  const data = compileSchema('{"properties":{"a":{"maximum":{"$data":"1/b"}}}}');
  t.match(data, /must be number/);
});
