// The ordinary design: the first version that a good engineer would write, with the same libraries and the
// same promises as Posthorn (committed before the 202, signed, retried, every attempt recorded). It uses a
// transaction for each request, an add_job for each webhook, a query for each step, fetch, and graphile-worker
// with its defaults.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import Fastify from 'fastify';
import { run, runMigrations } from 'graphile-worker';
import pg from 'pg';

const SCHEDULE_SECONDS = [5, 300, 1800];
const TIMEOUT_MS = 15_000;

const connectionString = process.env.DATABASE_URL as string;
const pool = new pg.Pool({ connectionString, max: 20 });
const { rows } = await pool.query(`select to_regnamespace('ordinary') as schema`);
if (rows[0].schema === null) {
  await pool.query(await readFile(new URL('./schema.sql', import.meta.url), 'utf8'));
}

await runMigrations({ pgPool: pool });

const sign = (secret: string, body: Buffer | string) =>
  `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;

// With ORDINARY_ROLE=api the program takes no jobs, so that intake is measured alone.
const runner =
  process.env.ORDINARY_ROLE === 'api'
    ? undefined
    : await run({
        pgPool: pool,
        noHandleSignals: true,
        // The documentation of graphile-worker recommends more than its default of 1, which would mostly wait.
        concurrency: 20,
        taskList: {
          async ordinary_deliver(payload) {
            const { id } = payload as { id: string };
            const { rows: webhooks } = await pool.query(
              'select * from ordinary.webhooks where id = $1',
              [id],
            );
            const webhook = webhooks[0];
            const { rows: subscriptions } = await pool.query(
              'select * from ordinary.subscriptions where id = $1',
              [webhook.subscription_id],
            );
            const { url, secret } = subscriptions[0];
            const timestamp = Math.floor(Date.now() / 1000);
            const startedAt = Date.now();
            let code: number | null = null;
            let problem: string | null = null;
            try {
              const response = await fetch(url, {
                method: 'POST',
                redirect: 'manual',
                signal: AbortSignal.timeout(TIMEOUT_MS),
                headers: {
                  'content-type': 'application/json',
                  'webhook-id': id,
                  'webhook-timestamp': String(timestamp),
                  'webhook-signature': `v1,${createHmac('sha256', secret).update(`${id}.${timestamp}.`).update(webhook.body).digest('base64')}`,
                  'x-hub-signature-256': sign(secret, webhook.body),
                },
                body: webhook.body,
              });
              await response.text();
              code = response.status;
              if (!response.ok) problem = `answered ${code}`;
            } catch (error) {
              problem = String(error);
            }
            const attempt = webhook.attempts + 1;
            const client = await pool.connect();
            try {
              await client.query('begin');
              await client.query(
                `insert into ordinary.delivery_attempts
             (webhook_id, attempt_number, status, response_code, error, duration_ms)
           values ($1, $2, $3, $4, $5, $6)`,
                [
                  id,
                  attempt,
                  problem === null ? 'success' : 'failed',
                  code,
                  problem,
                  Date.now() - startedAt,
                ],
              );
              const delaySeconds = SCHEDULE_SECONDS[attempt - 1];
              const again = problem !== null && delaySeconds !== undefined;
              await client.query(
                'update ordinary.webhooks set state = $2, attempts = $3 where id = $1',
                [id, problem === null ? 'succeeded' : again ? 'pending' : 'failed', attempt],
              );
              if (again) {
                await client.query(
                  `select graphile_worker.add_job('ordinary_deliver', $1, run_at => now() + $2 * interval '1 second')`,
                  [JSON.stringify({ id }), delaySeconds],
                );
              }
              await client.query('commit');
            } catch (error) {
              await client.query('rollback');
              throw error;
            } finally {
              client.release();
            }
          },
        },
      });

const app = Fastify();
app.post<{ Body: { url: string; secret: string } }>('/subscriptions', async (request, reply) => {
  const { url, secret } = request.body;
  const result = await pool.query(
    'insert into ordinary.subscriptions (url, secret) values ($1, $2) returning id',
    [url, secret],
  );
  return reply.code(201).send(result.rows[0]);
});
app.register(async (scope) => {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
  scope.post<{ Params: { id: string } }>('/ingest/:id', async (request, reply) => {
    const body = request.body as Buffer;
    JSON.parse(body.toString());
    const client = await pool.connect();
    try {
      await client.query('begin');
      const { rows: found } = await client.query(
        'select * from ordinary.subscriptions where id = $1',
        [request.params.id],
      );
      const expected = Buffer.from(sign(found[0].secret, body));
      const given = Buffer.from(String(request.headers['x-hub-signature-256']));
      if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
        await client.query('rollback');
        return reply.code(401).send();
      }
      const { rows: stored } = await client.query(
        'insert into ordinary.webhooks (subscription_id, body) values ($1, $2) returning id',
        [request.params.id, body],
      );
      await client.query(`select graphile_worker.add_job('ordinary_deliver', $1)`, [
        JSON.stringify({ id: stored[0].id }),
      ]);
      await client.query('commit');
      return reply.code(202).send({ status: 'accepted', webhook_id: stored[0].id });
    } catch (error) {
      await client.query('rollback');
      throw error;
    } finally {
      client.release();
    }
  });
});
const url = await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 0) });
process.stdout.write(`${url}\n`);

process.once('SIGTERM', async () => {
  await app.close();
  await runner?.stop();
  await pool.end();
});
