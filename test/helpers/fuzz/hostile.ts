import fc, { type Arbitrary } from 'fast-check';
import { anything } from './values.ts';

/** Parts of a URL, as they stand there. */
export const ODD_PARTS = fc.oneof(
  fc.constantFrom(
    ...['%00', '%zz', '%', '%f', '%ff', '%c0%80', '%ed%a0%80', '%u0000', '%2F', '%2e%2e', '..'],
    ...['0', '-1', '1.5', '1e3', '0x1', 'NaN', 'true', 'null', '%5B%5D', '%7B%7D', '%D9%A3', '%20'],
    ...['2147483648', '9007199254740993', '9'.repeat(40), "'", '%3B--', '*', '+', ',', '%0d%0aa:b'],
    ...['a'.repeat(99), 'a'.repeat(101), 'a'.repeat(3000), '\u00e9', '%F0%9F%92%A9'],
    ...['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
    ...['0000-01-01T00:00:00Z', '9999-12-31T23:59:59-14:00', '2026-02-30T00:00:00Z', 'infinity'],
  ),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }).map(encode),
);

const ODD_STRINGS = fc.oneof(
  fc.constantFrom(
    ...['', ' ', '\u0000', 'a\u0000b', '\ud800', '\udfff\ud800', '\uffff', '\u202e', '💩'],
    ...['a'.repeat(257), 'é'.repeat(3000), '\\', "'; drop table x; --", '%s', '[', '(?'],
    ...['http://', 'http://[::1', 'http://a b', 'https://localhost:99999', 'javascript:alert(1)'],
    ...['http://user:word@localhost/', 'http://0/', 'http://2130706433/', 'file:///etc/passwd'],
    ...['-1s', '1y', '999999999999h', '1e9ms', '1ms,,', '2026-01-31', '0000-01-01T00:00:00Z'],
    ...['$.a ? (@ > ', '$', 'strict $', 'whsec_', `whsec_${'A'.repeat(32)}`, 'whsec_!!!!'],
    ...['__proto__', 'constructor', 'toString', 'host', 'content-length', 'transfer-encoding'],
    ...['Content_Length', 'x_forwarded_for', 'webhook.id', 'proxy', 'x'.repeat(5000), 'a\nb'],
  ),
  fc.string({ unit: 'binary', maxLength: 200 }),
);

/** Values that nobody means. */
export const ODD_VALUES: Arbitrary<unknown> = fc.oneof(
  ODD_STRINGS,
  fc.constantFrom<unknown>(
    ...[null, true, 0, -0, -1, 0.5, 2 ** 31, 2 ** 53, -(2 ** 63), 1e308, 5e-324, [], {}, [[]]],
    ...[[null], { '': '' }, { '\u0000': '\u0000' }, { '\ud800': '\ud800' }, [{}, [], '', null]],
    Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`k${n}`, n])),
    Array.from({ length: 1500 }, () => 'x'),
    JSON.parse('{"__proto__": {"a": 1}, "constructor": {"prototype": 1}}'),
  ),
  anything,
);

/** A value with one of its parts changed: left out, of another type, out of bounds, one too many, renamed. */
export function spoiled(values: Arbitrary<unknown>): Arbitrary<unknown> {
  return fc
    .tuple(values, fc.nat(), fc.constantFrom('drop', 'put', 'put', 'add', 'rename'), ODD_VALUES)
    .map(([value, at, how, odd]) => spoil(structuredClone(value), at, how, odd));
}

function spoil(value: unknown, at: number, how: string, odd: unknown): unknown {
  const places = [...placesOf(value)];
  const place = places[at % (places.length + 1)];
  if (place === undefined) return how === 'put' ? odd : extended(value, odd);
  const { parent, key } = place;
  if (how === 'put') parent[key] = odd;
  else if (how === 'add') parent[key] = extended(parent[key], odd);
  else if (how === 'rename' && !Array.isArray(parent)) {
    // JSON's own, so that __proto__ is a name like others.
    const name = typeof odd === 'string' ? odd : JSON.stringify(odd);
    Object.defineProperty(parent, name, { ...DATA, value: parent[key] });
  } else if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else delete parent[key];
  return value;
}

const DATA = { enumerable: true, configurable: true, writable: true };

function extended(value: unknown, odd: unknown): unknown {
  if (Array.isArray(value)) return [...value, odd];
  if (typeof value === 'object' && value !== null) return { ...value, not_known: odd };
  return [value];
}

type Parent = Record<string, unknown>;

function* placesOf(value: unknown): Generator<{ parent: Parent; key: string }> {
  if (typeof value !== 'object' || value === null) return;
  for (const key of Object.keys(value)) {
    yield { parent: value as Parent, key };
    yield* placesOf((value as Parent)[key]);
  }
}

const deep = (open: string, close: string, times = 8000) =>
  `${open.repeat(times)}1${close.repeat(times)}`;

/** Bodies that no serializer writes. */
export const ODD_BODIES: Arbitrary<Buffer> = fc.oneof(
  fc
    .constantFrom(
      ...[
        '',
        ' ',
        '{',
        '}',
        'null',
        '[]',
        '"x"',
        '1e400',
        '-',
        'nul',
        '{"a":1,}',
        "{'a':1}",
        'NaN',
      ],
      ...[
        '{"data":1,"data":2}',
        '{"url":"\\ud800"}',
        '{"url":"\\u0000"}',
        '\ufeff{}',
        '{} {}',
        '//',
      ],
      ...[
        deep('[', ']', 8000),
        deep('[', ']', 30_000),
        deep('{"data":', '1}', 6000).replace(/1}/, '1}'),
        '[1,'.repeat(5000),
      ],
      ...[`{"event_type":"a","data":${deep('[', ']')}}`, `{"data":${'9'.repeat(20_000)}}`],
      ...[`{"data":"${'x'.repeat(100_000)}"}`, `{"${'k'.repeat(20_000)}":1}`],
    )
    .map((text) => Buffer.from(text)),
  fc.constantFrom(
    Buffer.from('{"url":"sch\u00fcssel"}', 'latin1'),
    Buffer.from('{"url":"x"}', 'utf16le'),
    Buffer.from([0xed, 0xa0, 0x80]),
    Buffer.from([0x1f, 0x8b, 0x08, 0x00]),
    Buffer.alloc(2000),
  ),
  fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
);

export const ODD_TYPES = fc.constantFrom(
  ...['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'],
  ...['application/json; charset=utf-16', 'application/cloudevents+json', 'application/jsonx'],
  ...['APPLICATION/JSON', 'application/json;', 'json', '*/*', ';', 'application/json, text/plain'],
);

/** Header values that HTTP allows. */
export const ODD_HEADERS = fc.oneof(
  fc.constantFrom(
    '',
    'x',
    '\u00e9',
    '\u00ff'.repeat(20),
    '"',
    'sha256=',
    'a,b',
    '\t',
    'x'.repeat(4000),
  ),
  fc.stringMatching(/^[ -~]{0,80}$/).map((text) => text.trim()),
);

/** As it stands in a URL; half of a surrogate pair as what it would be in UTF-8, if it might. */
export function encode(text: string): string {
  return [...text]
    .map((one) => (one.isWellFormed() ? encodeURIComponent(one) : '%ed%a0%80'))
    .join('');
}
