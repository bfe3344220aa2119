import t from 'tap';
import { createPool } from '../../src/db/pool.ts';
import { createPatience } from '../../src/db/retry-while-unavailable.ts';
import type { OwedDelivery } from '../../src/deliveries/load.sql.ts';
import { createLargeBodies } from '../../src/sending/large-bodies.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';

const MIB = 1024 * 1024;

t.test('large bodies take turns in memory, are shared, and fail by themselves', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const createTestPool = (timeoutMs: number) => {
    const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 2, timeoutMs });
    t.teardown(() => pool.end());
    return pool;
  };
  const bodies = createLargeBodies({
    pool: createTestPool(1_000),
    sizesPool: createTestPool(5_000),
    patience: createPatience(new AbortController().signal),
    maxBodyBytes: 40 * MIB,
  });
  const { signal } = new AbortController();
  const owe = async (bytes: number, first = 'x'): Promise<OwedDelivery> => {
    const { rows } = await client.query(
      `insert into posthorn.webhook_payloads (content_type, body)
       values ('text/plain', convert_to($1 || repeat('x', $2), 'UTF8')) returning id`,
      [first, bytes - first.length],
    );
    return {
      webhookId: rows[0].id,
      tenant: 'default',
      subscriptionId: 1,
      attemptCount: 0,
      scheduleOffset: 0,
      probeCount: 0,
      handedTo: null,
      contentType: 'text/plain',
      sourceHeaders: null,
      dueAt: 0,
      bytes,
      body: null,
      ownBody: true,
      problem: null,
    };
  };
  const take = async (delivery: OwedDelivery) => {
    const taken = await bodies.take(delivery, signal);
    if (taken === null) throw new Error('nothing was aborted');
    return taken;
  };

  const [twenty, other, huge] = [await owe(20 * MIB), await owe(20 * MIB), await owe(1)];
  const [one, same] = await Promise.all([take(twenty), take(twenty)]);
  t.equal(one.body, same.body, 'one body for both');
  t.equal(one.ownBody, false);
  t.equal(one.body?.length, 20 * MIB);
  let waits = true;
  const next = take(other).finally(() => {
    waits = false;
  });
  one.release();
  t.match(await take({ ...huge, bytes: 41 * MIB }), { body: null, problem: /42991616 bytes/ });
  t.ok(waits, 'the first one is in memory still');
  same.release();
  const alone = await next;
  t.equal(alone.body?.length, 20 * MIB);
  t.equal(alone.ownBody, true);

  const aborting = new AbortController();
  const stopped = bodies.take(twenty, aborting.signal);
  aborting.abort();
  alone.release();
  t.equal(await stopped, null, 'a stop takes nothing more');

  await client.query(`
    create function public.read(body bytea) returns bytea language plpgsql as $$
    begin
      if current_query() !~ 'then (p[.])?body end' then return body; end if;
      if substr(body, 1, 6) = 'broken' then raise exception 'missing chunk number 0' using errcode = 'data_corrupted'; end if;
      if substr(body, 1, 4) = 'slow' then perform pg_sleep(5); end if;
      return body;
    end $$`);
  const [slow, broken, sound] = [await owe(MIB, 'slow'), await owe(MIB, 'broken'), await owe(MIB)];
  await client.query('alter table posthorn.webhook_payloads rename to stored_payloads');
  await client.query(
    `create view posthorn.webhook_payloads as
     select id, content_type, public.read(body) as body from posthorn.stored_payloads`,
  );
  const order: string[] = [];
  const noting = async (name: string, delivery: OwedDelivery) => {
    const taken = await take(delivery);
    order.push(name);
    taken.release();
    return taken;
  };
  const taken = await Promise.all([
    noting('slow', slow),
    noting('broken', broken),
    noting('sound', sound),
  ]);
  t.match(taken[0]?.problem, /1048576 bytes could not be read.*statement timeout/);
  t.match(taken[1]?.problem, /could not be read.*missing chunk/);
  t.equal(taken[2]?.body?.length, MIB);
  t.equal(order.at(-1), 'slow');
  const missing = await take({ ...sound, webhookId: '01890a5d-ac96-774b-bcce-b302099a8057' });
  t.match(missing.problem, /erased/);
});
