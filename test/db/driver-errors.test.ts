// The texts by which src/db/driver.ts knows node-postgres's errors. An upgrade that changes one fails here first.
import assert from 'node:assert/strict';
import pg from 'pg';
import t from 'tap';
import {
  connectionOf,
  cutOff,
  isConnectionLost,
  isSilence,
  isUnanswered,
  wasNotSent,
} from '../../src/db/driver.ts';
import { testInternals } from '../helpers/contract.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { clientsOf, errorOf } from '../helpers/plain-clients.ts';
import { startTcpForwarder } from '../helpers/tcp-forwarder.ts';

const DRIVER = 'src/db/driver.ts';

const url = await createTestDatabase(t, { migrated: false });
/** Packets on it can be dropped. */
const forwarder = await startTcpForwarder(t, url);
const { withClient, withPool } = clientsOf(url);

testInternals(t, [
  {
    of: 'pg',
    that: 'a statement without an answer fails with "Query read timeout"',
    usedBy: DRIVER,
    check: () =>
      withClient(
        async (client) => {
          const error = await errorOf(client.query('select pg_sleep(60)'));
          assert(isUnanswered(error) && isSilence(error) && isConnectionLost(error), error.message);
          cutOff(client, 'a test');
        },
        { query_timeout: 50 },
      ),
  },
  {
    of: 'pg-pool',
    that: 'a new connection without an answer fails with "Connection terminated due to connection timeout"',
    usedBy: DRIVER,
    check: () =>
      withPool(
        async (pool) => {
          forwarder.drop(true);
          const error = await errorOf(pool.connect());
          forwarder.drop(false);
          assert(isSilence(error) && isConnectionLost(error), error.message);
        },
        { connectionString: forwarder.url, connectionTimeoutMillis: 50 },
      ),
  },
  {
    of: 'pg',
    that: 'a client without an answer while it connects fails with "timeout expired"',
    usedBy: DRIVER,
    async check() {
      forwarder.drop(true);
      const client = new pg.Client({
        connectionString: forwarder.url,
        connectionTimeoutMillis: 50,
      });
      client.on('error', () => {});
      const error = await errorOf(client.connect());
      forwarder.drop(false);
      assert(isConnectionLost(error), error.message);
    },
  },
  {
    of: 'pg-pool',
    that: 'waiting for a connection in use fails with "timeout exceeded when trying to connect", which is no silence',
    usedBy: DRIVER,
    check: () =>
      withPool(async (pool) => {
        const client = await pool.connect();
        // Only now: on a busy machine the first connection may take longer.
        pool.options.connectionTimeoutMillis = 50;
        const error = await errorOf(pool.connect());
        client.release();
        assert(isConnectionLost(error) && !isSilence(error), error.message);
      }),
  },
  {
    of: 'pg-pool',
    that: 'a pool that was ended refuses with "Cannot use a pool after calling end on the pool"',
    usedBy: DRIVER,
    async check() {
      const pool = new pg.Pool({ connectionString: url });
      await pool.end();
      const error = await errorOf(pool.query('select 1'));
      assert(isConnectionLost(error), error.message);
    },
  },
  {
    of: 'pg',
    that: 'a connection that is lost fails its statement with "Connection terminated unexpectedly", and it may have been sent',
    usedBy: DRIVER,
    check: () =>
      withClient(async (client) => {
        const error = errorOf(client.query('select pg_sleep(60)'));
        connectionOf(client).stream.destroy();
        const { message } = await error;
        assert.equal(message, 'Connection terminated unexpectedly');
        assert(isConnectionLost(await error) && !wasNotSent(await error), message);
      }),
  },
  {
    of: 'pg',
    that: 'a statement on a connection that was lost or closed before fails as not sent',
    usedBy: DRIVER,
    check: async () => {
      for (const end of ['lost', 'closed'])
        await withClient(async (client) => {
          if (end === 'closed') await client.end();
          else {
            const lost = new Promise((resolve) => client.once('end', resolve));
            cutOff(client, 'a test');
            await lost;
          }
          const error = await errorOf(client.query('select 1'));
          assert(wasNotSent(error) && isConnectionLost(error), `${end}: ${error.message}`);
        });
    },
  },
]);
