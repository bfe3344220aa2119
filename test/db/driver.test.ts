// What src/db/driver.ts relies on inside of node-postgres. An upgrade that changes it fails here first.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { Socket } from 'node:net';
import { join, relative } from 'node:path';
import { PassThrough } from 'node:stream';
import pg from 'pg';
import t from 'tap';
import { connectionOf, cutOff, watchStatements, wrapConnect } from '../../src/db/driver.ts';
import { testInternals } from '../helpers/contract.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { clientsOf, errorOf } from '../helpers/plain-clients.ts';
import { until } from '../helpers/until.ts';

const DRIVER = 'src/db/driver.ts';
const SRC = join(import.meta.dirname, '..', '..', 'src');

const url = await createTestDatabase(t, { migrated: false });

const { withClient, withPool } = clientsOf(url);

testInternals(t, [
  {
    of: 'pg',
    that: '`client.connection.stream` is the socket, and destroying it ends the statement under way',
    usedBy: DRIVER,
    check: () =>
      withClient(async (client) => {
        assert(connectionOf(client).stream instanceof Socket, 'it is no socket');
        const error = errorOf(client.query('select pg_sleep(60)'));
        cutOff(client, 'a test');
        assert.match((await error).message, /^Connection terminated: a test/);
      }),
  },
  {
    of: 'pg',
    that: '`connection.attachListeners` is called once, with the stream that carries messages',
    usedBy: DRIVER,
    async check() {
      const client = new pg.Client({ connectionString: url });
      const connection = connectionOf(client);
      const attach = connection.attachListeners.bind(connection);
      const attached: unknown[] = [];
      connection.attachListeners = (stream) => {
        attached.push(stream);
        attach(stream);
      };
      await client.connect();
      await client.end();
      assert.equal(attached.length, 1);
      assert.equal(attached[0], connection.stream);
    },
  },
  {
    of: 'pg-protocol',
    that: '`connection.attachListeners` reads the events `data` and `end` alone, and takes a message in parts',
    usedBy: DRIVER,
    async check() {
      const connection = connectionOf(new pg.Client());
      const stream = new PassThrough();
      const before = stream.eventNames();
      connection.attachListeners(stream);
      const listened = stream.eventNames().filter((name) => !before.includes(name));
      assert.deepEqual(listened.toSorted(), ['data', 'end']);
      const statuses: unknown[] = [];
      connection.on('readyForQuery', ({ status }: { status: string }) => statuses.push(status));
      stream.write(Buffer.from([0x5a, 0, 0]));
      stream.write(Buffer.from([0, 5, 0x49]));
      await until('it is parsed', () => statuses.length === 1);
      assert.deepEqual(statuses, ['I']);
    },
  },
  {
    of: 'pg',
    that: "the event `rowDescription` of the connection tells each field's `format`, before its `dataRow`s",
    usedBy: DRIVER,
    check: () =>
      withClient(async (client) => {
        const events: string[] = [];
        const connection = connectionOf(client);
        connection.prependListener(
          'rowDescription',
          ({ fields }: { fields: { format: string }[] }) =>
            events.push(fields.map(({ format }) => format).join()),
        );
        connection.on('dataRow', () => events.push('row'));
        await client.query({
          text: 'select $1::integer, 2',
          values: [1],
          binary: true,
        } as pg.QueryConfig);
        await client.query('select 1');
        assert.deepEqual(events, ['binary,binary', 'row', 'text', 'row']);
      }),
  },
  {
    of: 'pg',
    that: 'a `dataRow` that is emitted with Buffers as `fields` becomes a row of what `getTypeParser` makes of them',
    usedBy: DRIVER,
    check: () =>
      withClient(async (client) => {
        const connection = connectionOf(client);
        connection.prependOnceListener('dataRow', () =>
          connection.emit('dataRow', {
            name: 'dataRow',
            length: 9,
            fields: [Buffer.from('ours'), null],
          }),
        );
        const { rows } = await client.query({
          text: 'select $1::bytea, null::bytea',
          values: [Buffer.from('theirs')],
          rowMode: 'array',
          binary: true,
          types: { getTypeParser: () => (value: unknown) => value },
        } as pg.QueryArrayConfig);
        assert.deepEqual(rows[0], [Buffer.from('ours'), null]);
      }),
  },
  {
    of: 'pg',
    that: '`binary: true` asks for values in binary, and a bytea comes as a Buffer or as a string of its bytes',
    usedBy: DRIVER,
    check: () =>
      withClient(async (client) => {
        const given: unknown[] = [];
        await client.query({
          text: 'select $1::bytea',
          values: [Buffer.from('ou')],
          rowMode: 'array',
          binary: true,
          types: {
            getTypeParser: (_oid: number, format: string) => (value: unknown) =>
              given.push(format, Buffer.from(value as string).toString()),
          },
        } as unknown as pg.QueryArrayConfig);
        assert.deepEqual(given, ['binary', 'ou']);
      }),
  },
  {
    of: 'pg-protocol',
    that: '`connection.bind` writes one Bind message by one `_send`: both names, a format for each value, and an empty value of length 0',
    usedBy: DRIVER,
    check() {
      const connection = connectionOf(new pg.Client());
      const sent: Buffer[] = [];
      connection._send = (bytes) => {
        sent.push(Buffer.from(bytes));
        return true;
      };
      connection.bind({ portal: 'p', statement: 'é', values: [Buffer.alloc(0), 'x'] });
      assert.equal(sent.length, 1, 'one call');
      const names = Buffer.from('p\0é\0');
      // Formats: two of them, binary and text. Values: two of them, the first of no bytes.
      const start = Buffer.from([0, 2, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0x78]);
      const [message = Buffer.alloc(0)] = sent;
      assert.equal(message[0], 0x42);
      assert.equal(message.readInt32BE(1), message.length - 1, 'its length');
      const from = message.subarray(5, 5 + names.length + start.length);
      assert.deepEqual(from, Buffer.concat([names, start]));
    },
  },
  {
    of: 'pg',
    that: 'a parameter with `toPostgres` reaches `connection.bind` unchanged',
    usedBy: 'src/db/big-messages.ts',
    check: () =>
      withClient(async (client) => {
        const connection = connectionOf(client);
        const bind = connection.bind.bind(connection);
        let bound: unknown[] = [];
        connection.bind = (config) => {
          bound = config.values ?? [];
          bind(config);
        };
        const value = { toPostgres: () => Buffer.from('converted') };
        const { rows } = await client.query('select $1::bytea as value', [value]);
        assert.equal(bound[0], value, 'it was converted before');
        assert.equal(String(rows[0].value), 'converted');
      }),
  },
  {
    of: 'pg-pool',
    that: '`pool.query` takes its connection from `pool.connect`, with a callback, and passes one to `client.query`',
    usedBy: DRIVER,
    check: () =>
      withPool(async (pool) => {
        const seen: unknown[] = [];
        wrapConnect(pool, (connect) => {
          seen.push('connect');
          return connect();
        });
        watchStatements(pool, ({ text, error, byPool }) => seen.push(text, error, byPool));
        await pool.query('select 1');
        await pool.query({ text: 'select 2' });
        const client = await pool.connect();
        await client.query('select 3');
        client.release();
        assert.deepEqual(seen, [
          ...['connect', 'select 1', undefined, true],
          ...['connect', 'select 2', undefined, true],
          ...['connect', 'select 3', undefined, false],
        ]);
        assert.equal(pool.totalCount, 1);
        assert.equal(pool.idleCount, 1, 'it is given back');
      }),
  },
  {
    of: 'pg-pool',
    that: '`onConnect` has ended before the connection is given out, and `connect` is emitted before that',
    usedBy: 'src/db/pool.ts',
    check: () => {
      const seen: string[] = [];
      return withPool(
        async (pool) => {
          pool.on('connect', () => seen.push('connect'));
          const client = await pool.connect();
          seen.push('given out');
          client.release();
          assert.deepEqual(seen, ['configured', 'connect', 'given out']);
        },
        {
          onConnect: async (client) => {
            await client.query('select 1');
            seen.push('configured');
          },
        },
      );
    },
  },
]);

t.test('only the driver reaches into node-postgres', async (t) => {
  /** Names of pg's insides, and how its hidden fields are reached. */
  const INSIDES =
    /\b(connection\.stream|attachListeners|readyForQuery|activeQuery|processID|as unknown as \{ connection|pool\.connect = |client\.query = |Query read timeout|is not queryable|pg\.types\b)/;
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .map((name) => join(SRC, name))
    .filter((file) => file.endsWith('.ts') && statSync(file).isFile());
  const found = files.filter((file) => INSIDES.test(readFileSync(file, 'utf8')));
  t.strictSame(
    found.map((file) => relative(SRC, file)),
    [join('db', 'driver.ts')],
  );
});
