import t from 'tap';
import { document, HOSTILE, object, post, ref, strings, webhooks } from '../helpers/imports.ts';
import { staysResponsive } from '../helpers/responsive.ts';
import { startTestService } from '../helpers/service.ts';

/** Within this every import is answered, on a busy machine too; the worst took minutes, or the process. */
const ANSWERED_MS = 30_000;

t.test(
  'imports above a limit are refused in time, with place and limit, and delay nobody',
  async (t) => {
    const posthorn = await startTestService(t);
    for (const [what, body, field, message] of HOSTILE) {
      t.ok(body.length < 1024 * 1024, `${what}: ${body.length} bytes fit a body`);
      const start = performance.now();
      const { status, json, text } = await staysResponsive(t, posthorn, what, () =>
        posthorn.request('POST', '/v1/event-types/import', body),
      );
      const tookMs = performance.now() - start;
      t.ok(tookMs < ANSWERED_MS, `${what}: answered after ${tookMs.toFixed(0)} ms`);
      t.equal(status, 400, `${what}: ${text.slice(0, 500)}`);
      t.match(json?.errors?.[0], { field, message }, `${what}: ${text.slice(0, 500)}`);
      t.ok(text.length < 20_000, `${what}: the answer has ${text.length} bytes`);
    }
    t.strictSame(
      (await posthorn.request('GET', '/v1/event-types')).json.data,
      [],
      'nothing is stored',
    );
  },
);

t.test(
  'the largest imports that are within the limits are accepted, and delay nobody else',
  async (t) => {
    const posthorn = await startTestService(t);
    const types = object(1000, (n) => [
      `order.type${n}`,
      post(
        object(1, () => ['properties', strings(15 + (n % 7)).properties]),
        { example: { n } },
      ),
    ]);
    const multiplying = object(200, (n) => [
      `c${n}`,
      n === 199 ? {} : { allOf: [ref(`c${n + 1}`), ref(`c${n + 1}`)] },
    ]);
    const accepted: [what: string, body: string, names: number][] = [
      ['1,000 webhooks with schemas of their own', document(types), 1000],
      ['the same again', document(types), 1000],
      ['500 of one component', document(webhooks(500, ref('A')), { A: strings(300) }), 500],
      [
        'one whose parts multiply, which only data can tell',
        document(webhooks(1, ref('c0')), multiplying),
        1,
      ],
    ];
    for (const [what, body, number] of accepted) {
      t.ok(body.length < 1024 * 1024, `${what}: ${body.length} bytes fit a body`);
      const start = performance.now();
      const { status, json, text } = await staysResponsive(t, posthorn, what, () =>
        posthorn.request('POST', '/v1/event-types/import', body),
      );
      const tookMs = performance.now() - start;
      t.ok(tookMs < ANSWERED_MS, `${what}: answered after ${tookMs.toFixed(0)} ms`);
      t.equal(status, 200, `${what}: ${text.slice(0, 500)}`);
      t.equal(json?.created?.length + json?.updated?.length, number, what);
    }
  },
);

t.test('names such as __proto__ are ordinary names', async (t) => {
  const posthorn = await startTestService(t);
  const body = document(
    JSON.parse(`{"__proto__":${JSON.stringify(post(ref('__proto__')))}}`),
    JSON.parse(
      '{"__proto__":{"required":["constructor"],"properties":{"a":{"$ref":"#/components/schemas/__proto__"}}}}',
    ),
  );
  const { json } = await posthorn.request('POST', '/v1/event-types/import', body);
  t.strictSame(json, { created: ['__proto__'], updated: [] });
  const { text } = await posthorn.request('GET', '/v1/event-types/__proto__');
  t.match(text, /"\$defs":{"__proto__":{"required":\["constructor"\]/);
});

t.test('in examples and constants of a schema, $ref is an ordinary name', async (t) => {
  const posthorn = await startTestService(t);
  const data = { $ref: '#/components/schemas/None' };
  const schema = {
    properties: { $ref: { type: 'string' }, default: ref('A'), kept: { const: data } },
    default: data,
    examples: [data],
  };
  const body = document({ 'order.created': post(schema) }, { A: { type: 'integer' } });
  const { text } = await posthorn.request('POST', '/v1/event-types/import', body);
  t.match(text, /created":\["order.created/);
  const { json } = await posthorn.request('GET', '/v1/event-types/order.created');
  t.strictSame(json.schema, {
    ...schema,
    properties: { ...schema.properties, default: { $ref: '#/$defs/A' } },
    $defs: { A: { type: 'integer' } },
  });
  t.strictSame(json.example, data);
});

t.test('a tenant can run one import at a time', async (t) => {
  const posthorn = await startTestService(t);
  const body = document(webhooks(1000, {}));
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => posthorn.request('POST', '/v1/event-types/import', body)),
  );
  t.equal(answers.filter(({ status }) => status === 200).length, 1);
  for (const { status, headers } of answers.filter((answer) => answer.status !== 200)) {
    t.equal(status, 429);
    t.equal(headers.get('retry-after'), '1');
  }
  t.equal((await posthorn.request('POST', '/v1/event-types/import', body)).status, 200);
});

t.test('all schemas and examples of a tenant together have a limit', async (t) => {
  const posthorn = await startTestService(t);
  const example = 'x'.repeat(60_000);
  const put = (first: number) =>
    posthorn.request(
      'POST',
      '/v1/event-types/import',
      document(
        object(130, (n) => [
          `t${first + n}`,
          post({}, { examples: { a: { $ref: '#/components/examples/A' } } }),
        ]),
        {},
        { examples: { A: { value: example } } },
      ),
    );
  t.equal((await put(0)).status, 200);
  t.match(await put(130), { status: 409, json: { detail: /8388608 bytes together/ } });
  const body = { name: 'one', example };
  for (let n = 0; n < 9; n += 1)
    await posthorn.request('POST', '/v1/event-types', { name: `more${n}`, example });
  t.match(await posthorn.request('POST', '/v1/event-types', body), { status: 409 });
  await posthorn.request('POST', '/v1/event-types', { name: 'one' });
  t.match(await posthorn.request('PATCH', '/v1/event-types/one', { example }), { status: 409 });
});
