// An application that stores orders, and sends a webhook for each in the same transaction. Posthorn runs in its process.
//
//   DATABASE_URL=postgres://… node main.ts
//   curl http://127.0.0.1:3000/orders -H 'content-type: application/json' -d '{"total": 12.5}'
import Fastify from 'fastify';
import pg from 'pg';
import { createPosthorn } from 'posthorn';

/** The event types of this application, and their data. */
interface Events {
  'order.created': { id: number; total: number };
}

const { DATABASE_URL: databaseUrl = 'postgres://127.0.0.1/shop', PORT = '3000' } = process.env;
const pool = new pg.Pool({ connectionString: databaseUrl });
const posthorn = createPosthorn<Events>({
  databaseUrl,
  settings: {
    // The port of Posthorn's API; any that is free.
    PORT: '0',
    // For receivers on this machine. Leave it out in production.
    POSTHORN_ALLOW_NETWORKS: '127.0.0.0/8,::1/128',
  },
});
await posthorn.start();
await pool.query(`create table if not exists orders (
  id integer generated always as identity primary key,
  total numeric not null check (total > 0)
)`);

const app = Fastify();
const total = { type: 'number' };
const schema = { body: { type: 'object', properties: { total }, required: ['total'] } };

app.post<{ Body: { total: number } }>('/orders', { schema }, async (request, reply) => {
  const { total } = request.body;
  const client = await pool.connect();
  try {
    await client.query('begin');
    const stored = await client.query<{ id: number }>(
      'insert into orders (total) values ($1) returning id',
      [total],
    );
    const { id } = stored.rows[0] as { id: number };
    const webhookId = await posthorn.send(client, {
      eventType: 'order.created',
      data: { id, total },
    });
    await client.query('commit');
    return await reply.code(201).send({ id, webhook_id: webhookId });
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
});

app.addHook('onClose', async () => {
  await posthorn.stop();
  await pool.end();
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void app.close());

const address = await app.listen({ port: Number(PORT) });
console.log(`orders at ${address}, Posthorn at ${posthorn.url}`);
