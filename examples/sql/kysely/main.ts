// npm ci && node main.ts
import { type Generated, Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';

interface Database {
  orders: { id: Generated<number>; customer: string; total: number };
}

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });

/** Stores the order and sends the webhook in one transaction: both happen, or neither. */
async function placeOrder(customer: string, total: number): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    const order = await transaction
      .insertInto('orders')
      .values({ customer, total })
      .returning(['id', 'customer', 'total'])
      .executeTakeFirstOrThrow();
    const { rows } = await sql<{ id: string }>`
      select posthorn.send('order.created', ${JSON.stringify(order)}::text::jsonb) as id
    `.execute(transaction);
    console.log(`order ${order.id}: webhook ${rows[0]?.id}`);
    if (total > 50_000) throw new Error('payment declined');
  });
}

await placeOrder('Zoë', 1250);
// This order is rolled back, and its webhook with it.
await placeOrder('Zoë', 99_000).catch(({ message }) => console.log(`rolled back: ${message}`));
await db.destroy();
