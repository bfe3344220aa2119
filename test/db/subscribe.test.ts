import fc from 'fast-check';
import pg from 'pg';
import t from 'tap';
import { judgeSecret } from '../../src/signing/sign.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { createRole } from '../helpers/sender.ts';
import { startTestService } from '../helpers/service.ts';

/** A subscription as the API takes it. */
type Fields = Readonly<Record<string, unknown>>;

const text = (value: unknown) =>
  typeof value === 'object' && value !== null ? JSON.stringify(value) : value;
const json = (value: unknown) => (value === null ? null : JSON.stringify(value));

/** The call of posthorn.subscribe with these fields. */
function callOf({ rate_limit, ...fields }: Fields): { statement: string; values: unknown[] } {
  const given: [name: string, value: unknown][] = Object.entries(fields).map(([name, value]) => [
    name,
    name === 'headers' || name === 'metadata'
      ? json(value)
      : Array.isArray(value)
        ? value
        : text(value),
  ]);
  if (rate_limit !== undefined) {
    const { limit, per } = rate_limit as { limit: number; per: string };
    given.push(['rate_limit', limit], ['rate_limit_per', per]);
  }
  const args = given.map(([name], index) => `${name} => $${index + 1}`).join(', ');
  return {
    statement: `select posthorn.subscribe(${args}) as id`,
    values: given.map(([, value]) => value),
  };
}

const URL = 'https://example.com/hook';
const long = (length: number) => 'x'.repeat(length);
const KEY = Buffer.alloc(32, 7).toString('base64');

/** Values of each field: those of the first list are accepted in SQL too. */
const VALUES: Readonly<Record<string, readonly [accepted: unknown[], others: unknown[]]>> = {
  url: [
    [
      ...[
        'https://example.com',
        'http://example.com/',
        'https://a.b:8443/c/d?e=f&g=%20#h',
        'https://x/',
      ],
      ...[
        'https://93.184.216.34/',
        'http://[2606:2800:220:1::1]/',
        'http://[2606:2800:220:1::1]:81/x',
      ],
      ...['https://a_b.example/', `https://example.com/${long(2028)}`, 'https://a-b.c1.example/?x'],
    ],
    [
      ...[
        '',
        'ftp://example.com',
        'https://',
        'https://user@example.com/',
        'https://u:p@example.com/',
        '/x',
      ],
      ...[
        'https://example.com:0/',
        'https://example.com:65536/',
        'https://example.com:x/',
        'https://a b/',
      ],
      ...[
        'HTTPS://EXAMPLE.com',
        'https://exa_mple..com',
        'https://1.2.3',
        'https://0x7f.1/',
        'https://2130706433/',
      ],
      ...[
        'https://1.2.3.4.5/',
        'https://256.1.1.1/',
        'https://01.2.3.4/',
        'https://a.1/',
        'https://[::1',
        'https://[x]/',
      ],
      ...[
        'https://[1::2::3]/',
        'https://a%41/',
        'https://xn--a.example/',
        'https://xn--mgba/',
        'https://é.example/',
      ],
      ...[
        'https://example.com\\@x/',
        'https://a<b/',
        'https://example.com/\n',
        `https://example.com/${long(2100)}`,
      ],
      ...[
        'https:///example.com',
        'https://a.b?x',
        'https://a.b:443/',
        'https://a.b/../c',
        'https://[0:0::1]/',
        "https://a.b/?'",
        'https://example.com./',
        'https://-a.example/',
        'https://a.0x1/',
        'https://a.09/',
      ],
    ],
  ],
  event_types: [
    [
      null,
      [],
      ['*'],
      ['order.created', 'invoice.*', 'a-b_c.D'],
      [long(128)],
      ['posthorn.subscription.failing'],
    ],
    [
      [''],
      ['order.*.x'],
      ['a b'],
      ['**'],
      ['.a'],
      ['a.'],
      ['a\n'],
      [null],
      [long(131)],
      Array(101).fill('a'),
      [['a']],
    ],
  ],
  channels: [
    [null, ['a'], ['a.b:c_d-1', 'b'], Array(20).fill('a'), [long(128)]],
    [[], [''], ['a b'], ['é'], [null], [long(129)], Array(21).fill('a'), [['a']]],
  ],
  filter: [
    [null, '$.total > 100', 'exists($.a ? (@.b == "c"))', 'strict $.a == 1'],
    [
      '',
      '$',
      '$.a ? (',
      '$.**.a == 1',
      '$.a like_regex "x"',
      '$.a == $b',
      `$.a == "${long(1000)}"`,
    ],
  ],
  secret: [
    ['a secret', 'é', `whsec_${KEY}`, `whsec_${KEY.slice(0, -1)}`, 'whsec', long(256)],
    [
      '',
      'sealed:x',
      'whsec_',
      'whsec_!',
      'whsec_YWJj',
      `whsec_${KEY}${KEY}`,
      `whsk_${KEY}`,
      'whsk_x',
      long(257),
    ],
  ],
  headers: [
    [null, {}, { 'x-a': 'b' }, { 'X-A': 'é\tÿ', 'x-b': '' }, { [long(100)]: long(2000) }],
    [
      ...[
        { host: 'a' },
        { Content_Length: '1' },
        { 'x-forwarded-for': 'a' },
        { '': 'a' },
        { 'a b': 'c' },
        { proxy: '' },
      ],
      ...[
        { 'x-a': 'a\nb' },
        { 'x-a': '€' },
        { 'x-a': 1 },
        { 'x-a': null },
        { [long(101)]: 'a' },
        [],
        'x',
        1,
      ],
      ...[
        { 'x-a': '1', 'X.A': '2' },
        { 'x-a': long(2001) },
        { 'x.real.ip': 'a' },
        { 'x-a': '\u007f' },
      ],
      Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`x-${n}`, 'a'])),
      Object.fromEntries(Array.from({ length: 6 }, (_, n) => [`x-${n}`, long(1500)])),
    ],
  ],
  ordering: [
    ['none', 'strict'],
    ['', 'Strict', null, 'fifo'],
  ],
  retry_schedule: [
    [
      ...[null, '5s', '5s,5m, 1.5h', '0s', '365d', Array(100).fill('1s').join()],
      ...[
        'exponential(base=10s)',
        'exponential(base=10s, factor=1.5,max=1h,attempts=8)',
        'exponential(attempts=100)',
      ],
    ],
    [
      ...[
        '',
        'x',
        '5',
        '5s,',
        ',5s',
        '-1s',
        '1y',
        '366d',
        '1e3s',
        Array(101).fill('1s').join(),
        long(501),
      ],
      ...[
        'exponential',
        'exponential()',
        'exponential(x=1)',
        'exponential(base=0s)',
        'exponential(factor=0.5)',
      ],
      ...[
        'exponential(attempts=0)',
        'exponential(attempts=101)',
        'exponential(base=10s',
        'exponential(base)',
      ],
      ...[
        'exponential(base=0.1ms)',
        'exponential(base=10s=5s)',
        'exponential(factor=)',
        'exponential(base=10s,)',
      ],
    ],
  ],
  timeout: [
    [null, '100ms', '10s', '5m'],
    ['99ms', '301s', '-1s', 'x', '', '0s'],
  ],
  max_in_flight: [
    [null, 1, 10_000],
    [0, -1, 10_001, 'x'],
  ],
  rate_limit: [
    [
      { limit: 1, per: '1s' },
      { limit: 1_000_000, per: '1d' },
      { limit: 5, per: '100ms' },
    ],
    [
      { limit: 0, per: '1s' },
      { limit: 1_000_001, per: '1s' },
      { limit: 1, per: '99ms' },
      { limit: 1, per: '25h' },
    ],
  ],
  description: [[null, '', 'é 💩', long(1000)], [long(1001)]],
  metadata: [
    [null, {}, { a: 'b' }, { [long(100)]: long(1000) }],
    [
      ...[{ a: 1 }, { a: null }, { a: long(1001) }, { [long(101)]: 'a' }, [], 'x', 1],
      Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`${n}`, 'a'])),
    ],
  ],
};

t.test(
  'what the API refuses, posthorn.subscribe refuses with a hint, and it stores the same',
  async (t) => {
    const posthorn = await startTestService(t, {
      // Addresses and ports are judged by the settings of the service.
      POSTHORN_ALLOW_NETWORKS: '0.0.0.0/0,::/0',
      POSTHORN_ALLOW_PORTS: '1-65535',
    });
    const client = await connect(t, posthorn.databaseUrl);
    const stored = async (id: number) => {
      const { rows } = await client.query(
        `select to_jsonb(s) - '{id,secret,created_at,updated_at}'::text[] as row from posthorn.subscriptions s where id = $1`,
        [id],
      );
      return rows[0]?.row;
    };

    async function compare(fields: Fields): Promise<string> {
      const what = JSON.stringify(fields).slice(0, 300);
      const { statement, values } = callOf(fields);
      const reply = await posthorn.request('POST', '/v1/subscriptions', fields);
      try {
        const { rows } = await client.query(statement, values);
        if (reply.status !== 201)
          throw new Error(`the API answers ${reply.status} to ${what}: ${reply.text}`);
        const [inSql, byApi] = [await stored(rows[0].id), await stored(reply.json.id)];
        if (JSON.stringify(inSql) !== JSON.stringify(byApi))
          throw new Error(`${JSON.stringify(inSql)} is not ${JSON.stringify(byApi)}`);
        return 'accepted';
      } catch (error) {
        if (!(error instanceof pg.DatabaseError)) throw error;
        if (!/^(22|23|42601|42883)/.test(error.code ?? '')) throw error;
        if (error.code === '22023' && (error.hint ?? '') === '')
          throw new Error(`no hint: ${error.message}`);
        if (/confidential/.test(`${error.message} ${error.detail} ${error.hint}`)) throw error;
        return `refused: ${error.message}`;
      }
    }

    for (const [field, [accepted, others]] of Object.entries(VALUES))
      for (const value of [...accepted, ...others])
        t.match(
          await compare({ url: URL, [field]: value }),
          accepted.includes(value) ? 'accepted' : /^refused/,
          `${field}: ${JSON.stringify(value)?.slice(0, 100)}`,
        );

    const anyOf = (field: string) =>
      fc.constantFrom(...(VALUES[field] as [unknown[], unknown[]]).flat());
    /** Texts that are like those of the lists. */
    const mutated = (field: string) =>
      fc
        .tuple(
          fc.constantFrom(
            ...(VALUES[field] as [unknown[], unknown[]])
              .flat()
              .filter((value) => typeof value === 'string'),
          ),
          fc.nat(30),
          fc.nat(3),
          fc.oneof(
            fc.string({ unit: 'binary', maxLength: 2 }),
            fc.constantFrom(
              ...[
                '%',
                '%2',
                ':',
                '@',
                '/',
                '//',
                '\\',
                '#',
                '?',
                '.',
                '..',
                '[',
                ']',
                '0x',
                '=',
                ',',
                ' ',
                '\t',
              ],
            ),
          ),
        )
        .map(([value, at, cut, put]) => value.slice(0, at) + put + value.slice(at + cut));
    const field = fc
      .constantFrom(...Object.keys(VALUES))
      .chain((name) => fc.tuple(fc.constant(name), anyOf(name)));
    const odd = fc
      .constantFrom('url', 'filter', 'secret', 'retry_schedule')
      .chain((name) => fc.tuple(fc.constant(name), mutated(name)));
    const header = fc
      .string({ unit: 'binary', maxLength: 4 })
      .map((value) => ['headers', { [`x-${value}`]: value }] as const);
    let both = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(field, odd, header), { minLength: 1, maxLength: 3 }),
        async (given) => {
          if ((await compare({ url: URL, ...Object.fromEntries(given) })) === 'accepted') both += 1;
        },
      ),
      { numRuns: 500 },
    );
    t.ok(both > 50, `${both} were accepted by both`);
  },
);

t.test('a subscription that is created in SQL exists when its transaction commits', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const [client, other] = [await connect(t, databaseUrl), await connect(t, databaseUrl)];
  const known = async () => (await other.query('select from posthorn.subscriptions')).rowCount;
  await client.query('begin');
  await client.query('select posthorn.subscribe($1)', [URL]);
  t.equal(await known(), 0);
  await client.query('rollback');
  t.equal(await known(), 0);
  const { rows } = await client.query('select posthorn.subscribe($1) as id', [URL]);
  t.type(rows[0].id, 'number');
  t.equal(await known(), 1);
});

t.test(
  'a secret that is generated in SQL is new each time, and one that receivers can use',
  async (t) => {
    const client = await connect(t, await createTestDatabase(t));
    await client.query(`select posthorn.subscribe('${URL}') from generate_series(1, 100)`);
    const { rows } = await client.query<{ secret: string }>(
      'select secret from posthorn.subscriptions',
    );
    const secrets = rows.map(({ secret }) => secret);
    t.equal(new Set(secrets).size, 100);
    for (const secret of secrets) {
      t.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
      t.equal(judgeSecret(secret), null);
    }
    // Each bit is set in about half of them.
    for (let bit = 0; bit < 256; bit++) {
      const set = secrets.filter(
        (secret) => ((Buffer.from(secret.slice(6), 'base64')[bit >> 3] as number) >> (bit & 7)) & 1,
      ).length;
      t.ok(set > 15 && set < 85, `bit ${bit} is set in ${set} of 100`);
    }
  },
);

t.test('a manager of some tenants creates subscriptions for these only', async (t) => {
  const client = await connect(t, await createTestDatabase(t));
  await client.query(`insert into posthorn.tenants (id) values ('acme'), ('zeta')`);
  const role = await createRole(t, client);
  await client.query(`select posthorn.allow_manager($1, '{acme}')`, [role]);
  await client.query(`set role ${role}`);
  await client.query(`select posthorn.subscribe($1, tenant => 'acme')`, [URL]);
  for (const tenant of ['zeta', 'default', 'nobody'])
    await t.rejects(client.query('select posthorn.subscribe($1, tenant => $2)', [URL, tenant]), {
      code: '42501',
      message: `the role "${role}" may not manage for the tenant "${tenant}"`,
      hint: new RegExp(`allow_manager\\('${role}', '\\{acme,${tenant}\\}'\\)`),
    });
  await client.query('reset role');
  await t.rejects(client.query(`select posthorn.subscribe($1, tenant => 'nobody')`, [URL]), {
    code: '23503',
  });
  await t.rejects(client.query('select posthorn.subscribe($1, tenant => null)', [URL]), {
    code: '22004',
  });
});
